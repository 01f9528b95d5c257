"""Imports run one way: defs -> steps -> core <- serving. Each is looked at in a fresh process."""

import importlib.util
import json
import subprocess
import sys

import pytest

WALK = """
import importlib, json, pkgutil, sys
for name in {packages!r}:
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(getattr(package, "__path__", []), name + "."):
        if ".migrations" not in module.name and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
print(json.dumps(sorted(sys.modules)))
"""


def imported_by(*packages: str) -> set[str]:
    """Every module that importing these packages, with all that is in them, brings in; and the packages above them."""
    done = subprocess.run([sys.executable, "-c", WALK.format(packages=packages)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def imported_by_one(module: str) -> set[str]:
    script = f"import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_the_core_imports_neither_side() -> None:
    found = imported_by("thumblab_core")
    assert {"thumblab_core.index", "thumblab_core.database.watcher", "thumblab_core.encoders.open_clip"} <= found
    assert not found & {
        "dagster",
        "fastapi",
        "mlflow",
        "thumblab_pipelines",
        "thumblab_serving",
        "thumblab_cli",
        "demo",
    }


def test_the_steps_import_no_dagster_and_nothing_of_the_service() -> None:
    found = imported_by("thumblab_pipelines.steps")
    assert {"thumblab_pipelines.steps.collect", "thumblab_pipelines.steps.ranking"} <= found
    assert not found & {"dagster", "fastapi", "mlflow", "thumblab_serving", "thumblab_pipelines.defs", "demo"}


@pytest.mark.skipif(importlib.util.find_spec("thumblab_serving.app") is None, reason="there is no thumblab_serving.app")
def test_the_service_starts_without_dagster_mlflow_and_the_pipelines() -> None:
    found = imported_by_one("thumblab_serving.app")
    assert "fastapi" in found
    assert not found & {"dagster", "mlflow", "thumblab_pipelines", "demo"}


def test_the_demo_knows_neither_the_pipelines_nor_the_service() -> None:
    found = imported_by("demo")
    assert "demo.emulator" in found
    assert not found & {"dagster", "mlflow", "fastapi", "thumblab_pipelines", "thumblab_serving", "torch"}


@pytest.mark.parametrize(
    "module", ["thumblab_core.encoders.load", "thumblab_core.index", "thumblab_pipelines.steps.library"]
)
def test_heavy_libraries_wait_until_they_are_used(module: str) -> None:
    assert not imported_by_one(module) & {"torch", "open_clip", "faiss", "sentence_transformers", "cv2", "mlflow"}
