"""Run code in a new process in which PyTorch, and the packages that need PyTorch, seem not to be installed."""

WITHOUT_TORCH = """
import importlib.abc, importlib.util, sys

MISSING = {"torch", "torchvision", "open_clip", "transformers", "sentence_transformers", "timm"}
find_spec = importlib.util.find_spec

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in MISSING:
            raise ModuleNotFoundError(name, name=name)

importlib.util.find_spec = lambda name, package=None: None if name in MISSING else find_spec(name, package)
sys.meta_path.insert(0, Missing())
"""
"""The first lines of the code. After these lines, importing PyTorch or a package that needs PyTorch raises an error."""
