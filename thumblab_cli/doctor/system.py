"""Check the machine: Python, the installed packages, the disk and the memory."""

import importlib.metadata
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from thumblab_cli.doctor.examined import Examined
from thumblab_cli.doctor.finding import Finding, error, fine, skipped, warning

GIB = 2**30
_EXTRAS = {"serving": "fastapi", "pipelines": "dagster"}
"""The extras of the lab's distribution, each with a package that shows whether the extra is installed."""
_LEAST_DISK, _GOOD_DISK = 1 * GIB, 5 * GIB
"""The check reports an error below `_LEAST_DISK`, because a refresh or a training may fail before its end.

The check reports a warning below `_GOOD_DISK`, because the disk will soon be too full for a refresh or a training.
"""
_LEAST_FILES = 10_000
_LEAST_MEMORY, _GOOD_MEMORY, _LEAST_FREE = 2 * GIB, 4 * GIB, 1 * GIB
"""The service takes up to 1.5 GB with the built-in encoder. Dagster, MLflow and a run together take about as much."""


def python(examined: Examined) -> Iterator[Finding]:
    """Check the version of Python, and the presence and version of each package that the lab needs."""
    lab = importlib.metadata.metadata("thumblab")
    supported = str(lab["Requires-Python"] or ">=3.11")
    version = examined.machine.python
    if version not in SpecifierSet(supported):
        yield error(
            f"this is Python {version}; the lab needs {supported}",
            "install a supported Python, remove .venv, and run: make setup PYTHON=python3.11",
        )
    wrong = sorted(_wrong_packages(lab.get_all("Requires-Dist") or []))
    if wrong:
        what = f"packages are missing or have a wrong version: {', '.join(wrong)}"
        yield error(what, "rm -f .venv/.ready; make setup")
    missing = [extra for extra, package in _EXTRAS.items() if _version(package) is None]
    if missing:
        yield skipped(
            f"installed without {' and '.join(f'thumblab[{extra}]' for extra in missing)}; the parts of the lab that "
            f"need them do not run"
        )
    if not wrong and not missing and version in SpecifierSet(supported):
        yield fine(f"Python {version}, with every package that the lab needs")


def _wrong_packages(requirements: list[str]) -> Iterator[str]:
    """Yield each package that is missing or has a wrong version. An extra that is not installed is left out."""
    extras = ["", *(extra for extra, package in _EXTRAS.items() if _version(package) is not None)]
    for text in requirements:
        requirement = Requirement(text)
        if requirement.marker is not None and not any(requirement.marker.evaluate({"extra": e}) for e in extras):
            continue
        version = _version(requirement.name)
        if version is None:
            yield f"{requirement.name} (missing)"
        elif not requirement.specifier.contains(version, prereleases=True):
            yield f"{requirement.name} {version} (needed: {requirement.specifier})"


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def disk(examined: Examined) -> Iterator[Finding]:
    """Check the free disk space of the data folder, the release store and the embedded database."""
    chosen = examined.settings
    folders = {
        "data folder": chosen.data_dir,
        "release store": chosen.releases if chosen.release_store is None else chosen.release_cache,
        "database": chosen.data_dir / "postgres",
    }
    seen: set[int] = set()
    for what, folder in folders.items():
        place = _existing(folder.resolve())
        if place.stat().st_dev in seen:
            continue
        seen.add(place.stat().st_dev)
        room = examined.machine.room(place)
        mend = f"delete files on the file system of {place}, or set THUMBLAB_DATA_DIR to a folder on a larger one"
        if room.files is not None and room.files < _LEAST_FILES:
            yield error(f"the {what} has room for only {room.files:,} more files", mend)
        if room.bytes < _LEAST_DISK:
            yield error(
                f"the {what} has {room.bytes / GIB:.1f} GiB left, and a run needs {_LEAST_DISK / GIB:.0f} GiB", mend
            )
        elif room.bytes < _GOOD_DISK:
            yield warning(f"the {what} has {room.bytes / GIB:.1f} GiB left", mend)
        else:
            yield fine(f"the {what} has {room.bytes / GIB:,.0f} GiB left")


def _existing(folder: Path) -> Path:
    return next(part for part in (folder, *folder.parents) if part.exists())


def memory(examined: Examined) -> Iterator[Finding]:
    """Check the memory of the machine, or of the container."""
    total, free = examined.machine.memory, examined.machine.free_memory
    has = f"the machine has {total / GIB:.1f} GiB of memory"
    if total < _LEAST_MEMORY:
        yield error(
            f"{has}, and the lab needs {_LEAST_MEMORY / GIB:.0f} GiB",
            "use a machine or a container with more memory",
        )
    elif total < _GOOD_MEMORY:
        yield warning(
            f"{has}, which is enough for the service, but not for the service and a training at the same time",
            f"use a machine or a container with at least {_GOOD_MEMORY / GIB:.0f} GiB",
        )
    elif free < _LEAST_FREE:
        yield warning(
            f"{free / GIB:.1f} GiB of memory are free, so the system may end a run",
            "end other programs; `ps -eo rss,args --sort -rss | head` shows the largest",
        )
    else:
        yield fine(f"{has}, {free / GIB:.1f} GiB of them free")
