"""Test the imports of the lab's packages.

Some packages never import certain other packages. Inside a package, each folder imports only from the folders that come
after it in `ORDER`.
"""

import ast
import importlib
import importlib.util
import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# The folders of each package, from top to bottom. A folder imports only from folders below it in this list.
# `.` stands for the modules that are in no folder.
ORDER = {
    "thumblab_pipelines": [
        "defs",
        "previews",
        "alerts",
        "models",
        "lab_checks",
        "evaluation",
        "finetune",
        "retention",
        "library_map",
        "niche_report",
        "predictions",
        "people",
        "channels",
        "training",
        "dataset",
        "experiments",
        "owner_ctr",
        "collection",
        "niches",
        "library",
        "features",
        "youtube",
        "videos",
        "tables",
        "statistics",
        "backup",
        "ray_cluster",
        ".",
    ],
    "thumblab_core": [
        "recognition",
        "people",
        "niche_report",
        "library_map",
        "ranking",
        "experiments",
        "niches",
        "database",
        "index",
        "sub_scores",
        "faces",
        "encoders",
        "embedded_postgres",
        "fetch",
        "image_store",
        "images",
        "keys",
        "channel_imports",
        "releases",
        "object_store",
        "monitoring",
        "computing",
        ".",
    ],
    "thumblab_serving": [
        "routes",
        "looking",
        "http",
        "keys",
        "batches",
        "channels",
        "experiments",
        "people",
        "scoring",
        "loading",
        "dagster_runs",
        "schemas",
        "workers",
        ".",
    ],
    "thumblab_cli": ["reference", "commands", "doctor", "scoring", "demo", "servers", "printing", "."],
    "thumblab_client": ["mcp_server", ".", "models"],
}

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
    """Import `packages` and all their modules in a new process. Return the names of all modules that this process
    loaded.
    """
    done = subprocess.run([sys.executable, "-c", WALK.format(packages=packages)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def imported_by_one(module: str, then: str = "pass") -> set[str]:
    """Import `module` in a new process, and run the code `then`. Return the names of all modules that the process
    loaded.
    """
    script = f"import json, sys, {module}; {then}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def folder_of(module: str, package: str) -> str:
    first = module.removeprefix(f"{package}.").split(".")[0]
    return first if (ROOT / package / first).is_dir() else "."


def imports_between_folders(package: str) -> dict[tuple[str, str], list[str]]:
    """Return a dictionary from pairs (importing folder, imported folder) to the places of the imports.

    A place has the path of a file and the number of a line. Imports inside functions are included.
    """
    places: dict[tuple[str, str], list[str]] = defaultdict(list)
    for path in sorted((ROOT / package).rglob("*.py")):
        importer = folder_of(".".join(path.relative_to(ROOT).with_suffix("").parts), package)
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [f"{node.module}.{name}" for name in names]
            for name in names:
                if name.startswith(f"{package}."):
                    places[importer, folder_of(name, package)].append(f"{path.relative_to(ROOT)}:{node.lineno}")
    return places


@pytest.mark.parametrize("package", ORDER)
def test_a_folder_imports_only_from_folders_below_it(package: str) -> None:
    order = ORDER[package]
    folders = {path.parent.name for path in (ROOT / package).glob("*/__init__.py")}
    assert folders == set(order) - {"."}
    against = {
        f"{importer} -> {imported}": lines
        for (importer, imported), lines in imports_between_folders(package).items()
        if importer != "." and order.index(importer) > order.index(imported)
    }
    assert not against


def test_the_tour_of_the_architecture_lists_the_domains_in_this_order() -> None:
    tour = (ROOT / "docs" / "architecture.md").read_text()
    table = tour.split("| domain | its work |")[1].split("\n\n")[0]
    domains = [line.split("`")[1] for line in table.splitlines() if line.startswith("| `")]
    assert domains == [folder for folder in ORDER["thumblab_pipelines"] if folder not in ("defs", ".")]


@pytest.mark.parametrize("package", [*ORDER, "demo", "benchmarks", "tests"])
def test_no_folder_has_more_than_twenty_modules_and_no_module_more_than_350_lines(package: str) -> None:
    modules = [path for path in (ROOT / package).rglob("*.py") if "migrations" not in path.parts]
    folders = defaultdict(list)
    for path in modules:
        folders[path.parent.relative_to(ROOT)].append(path.name)
    assert {
        str(folder): len(names) for folder, names in folders.items() if len(set(names) - {"__init__.py"}) > 20
    } == {}
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in modules}
    assert {path: length for path, length in lengths.items() if length > 350} == {}


def test_every_benchmark_can_be_imported() -> None:
    """Check that the benchmarks import no name that was removed.

    mypy does not check the benchmarks, so only this test detects such an import. The test imports the benchmarks in
    this process, because this process has already imported most of the modules that the benchmarks need.
    """
    imported = [
        importlib.import_module(f"benchmarks.{'.'.join(path.relative_to(ROOT / 'benchmarks').with_suffix('').parts)}")
        for path in (ROOT / "benchmarks").rglob("*.py")
        if path.stem not in ("__init__", "__main__")
    ]
    assert "benchmarks.title_panel" in {module.__name__ for module in imported}


def test_the_core_imports_no_other_package_of_the_lab() -> None:
    modules = imported_by("thumblab_core")
    assert {
        "thumblab_core.index",
        "thumblab_core.embedded_postgres.watcher",
        "thumblab_core.encoders.open_clip",
    } <= modules
    assert not modules & {
        "dagster",
        "fastapi",
        "mlflow",
        "thumblab_pipelines",
        "thumblab_serving",
        "thumblab_cli",
        "demo",
    }


def test_the_domains_import_no_dagster_and_nothing_of_the_service() -> None:
    domains = [f"thumblab_pipelines.{name}" for name in ORDER["thumblab_pipelines"] if name not in ("defs", ".")]
    modules = imported_by(*domains)
    assert {"thumblab_pipelines.collection.refresh", "thumblab_pipelines.models.build"} <= modules
    assert not modules & {"dagster", "fastapi", "mlflow", "thumblab_serving", "thumblab_pipelines.defs", "demo"}


@pytest.mark.skipif(importlib.util.find_spec("thumblab_serving.app") is None, reason="there is no thumblab_serving.app")
def test_the_service_starts_without_dagster_mlflow_and_the_pipelines() -> None:
    modules = imported_by_one("thumblab_serving.app")
    assert "fastapi" in modules
    assert not modules & {"dagster", "mlflow", "thumblab_pipelines", "demo"}


def test_the_demo_imports_neither_the_pipelines_nor_the_service() -> None:
    modules = imported_by("demo")
    assert "demo.emulator" in modules
    assert not modules & {"dagster", "mlflow", "fastapi", "thumblab_pipelines", "thumblab_serving", "torch"}


def test_the_client_imports_httpx_and_no_other_package_of_the_lab() -> None:
    assert not imported_by("thumblab_client") & {"fastapi", "thumblab_core", "thumblab_serving", "thumblab_cli", "demo"}
    assert not imported_by_one("thumblab_client") & {"pydantic", "numpy", "mcp"}


@pytest.mark.parametrize(
    "module", ["thumblab_core.encoders.load", "thumblab_core.index", "thumblab_pipelines.library.build"]
)
def test_heavy_libraries_are_imported_only_when_they_are_used(module: str) -> None:
    assert not imported_by_one(module) & {"torch", "open_clip", "faiss", "sentence_transformers", "cv2", "mlflow"}


def test_a_process_of_dagster_loads_the_definitions_without_heavy_libraries() -> None:
    # Each run and each code server loads all definitions. Importing torch would double the time of loading.
    modules = imported_by_one("thumblab_pipelines.definitions", "thumblab_pipelines.definitions.defs()")
    assert "thumblab_pipelines.defs.ranking.ranking_model" in modules
    assert not modules & {"torch", "open_clip", "faiss", "sentence_transformers", "cv2", "mlflow", "pandas", "sklearn"}
