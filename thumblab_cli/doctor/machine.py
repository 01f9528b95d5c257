"""Read the facts about this machine that decide whether a lab can run on it."""

import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

_CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""The files that hold the memory limit of a container, for cgroups version 2 and version 1."""


@dataclass(frozen=True)
class Room:
    """The free space of a file system.

    `files` is the number of files that can still be made, or None if the number has no limit.
    """

    bytes: int
    files: int | None


@dataclass(frozen=True)
class Machine:
    """The facts about a machine. `memory` and `free_memory` are in bytes.

    `environment` contains the environment variables with which the process started, before the lab changed any of them.
    """

    python: str
    memory: int
    free_memory: int
    environment: Mapping[str, str]
    room: Callable[[Path], Room]
    now: Callable[[], datetime]

    @classmethod
    def this(cls) -> "Machine":
        """Return the facts about the machine that runs this process."""
        memory = psutil.virtual_memory()
        limit = _container_limit()
        total = memory.total if limit is None else min(limit, memory.total)
        try:
            environment = psutil.Process().environ()
        except (psutil.Error, OSError):
            environment = dict(os.environ)
        return cls(
            platform.python_version(),
            total,
            min(total, memory.available),
            environment,
            room_at,
            lambda: datetime.now(UTC),
        )


def room_at(folder: Path) -> Room:
    """Return the free space of the file system of a folder. Raises `OSError` if the folder cannot be reached."""
    state = os.statvfs(folder)
    return Room(state.f_bavail * state.f_frsize, state.f_favail if state.f_files else None)


def _container_limit() -> int | None:
    for file in _CGROUP_LIMITS:
        try:
            return int(file.read_text())
        except (OSError, ValueError):  # The file is missing, or it holds the word `max`, which means no limit.
            continue
    return None
