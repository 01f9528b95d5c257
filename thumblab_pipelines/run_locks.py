"""Which Dagster runs still have a process: a run is a locked file for as long as it is executed.

The kernel releases the lock however its holder ends, also when the machine does, and no clock and no process id is asked.
The files lie in the data folder, which the processes of one lab share. Where a run has no file, it is executed on another
data folder, or by nobody yet.
"""

import fcntl
import os
from pathlib import Path

from thumblab_core.settings import settings

_held: dict[str, int] = {}
"""This process's descriptors, by run."""


def hold(run_id: str) -> None:
    """Hold the run's lock until `let_go`, or the end of this process; shared, as a run that was started twice has two."""
    path = _path(run_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    _held[run_id] = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    fcntl.flock(_held[run_id], fcntl.LOCK_SH)


def let_go(run_id: str) -> None:
    """Remove the lock of a run that has ended, whoever held it."""
    _path(run_id).unlink(missing_ok=True)
    descriptor = _held.pop(run_id, None)
    if descriptor is not None:
        os.close(descriptor)


def abandoned(run_id: str) -> bool:
    """Whether a process of this lab executed the run and has ended without saying so."""
    try:
        descriptor = os.open(_path(run_id), os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def _path(run_id: str) -> Path:
    return settings().data_dir / "dagster" / "executing" / f"{run_id}.lock"
