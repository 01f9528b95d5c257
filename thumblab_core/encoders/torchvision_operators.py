"""Make torchvision importable with any build of torch. Import this module before anything that imports torchvision.

PyPI's torchvision is built for CUDA, and its compiled operators do not load with a CPU-only torch. open_clip and
transformers import torchvision, which then fails with "operator torchvision::nms does not exist". If the compiled
operators do not load, this module declares the two operators to which torchvision's Python code refers. The
declarations are enough, because the lab never calls the operators. With a torch for CUDA, the compiled operators load.
A second declaration would then end the process.
"""

import contextlib
import importlib.util
from pathlib import Path

import torch

_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def _load_compiled() -> None:
    """Load the compiled operators as torchvision does, if they can be loaded."""
    package = importlib.util.find_spec("torchvision")
    for folder in (package and package.submodule_search_locations) or []:
        for library in Path(folder).glob("_C*.so"):
            with contextlib.suppress(OSError):
                torch.ops.load_library(str(library))  # type: ignore[no-untyped-call]


_load_compiled()
for _name in ("nms", "qnms"):
    if not hasattr(torch.ops.torchvision, _name):
        # The error means that another thread has already declared the operator.
        with contextlib.suppress(RuntimeError):
            torch.library.define(f"torchvision::{_name}", _SIGNATURE)
