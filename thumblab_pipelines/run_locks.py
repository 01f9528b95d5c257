"""The locks that show which Dagster runs still have a process.

A run has a lock file from its start to its end. The file is locked as long as a process executes the run. The kernel
releases the lock when the process ends for any reason, even if the machine stops. So if the file exists and is not
locked, the process of the run is gone. The files are in the data folder, which all processes of a lab share. If a run
has no lock file, the run has ended, has not started yet, or belongs to a lab with another data folder.
"""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

import psutil

_held: dict[Path, int] = {}
"""The open file descriptors of the locks that this process holds, by the path of the lock file."""


class RunLocks:
    """All run locks of one lab. The module's docstring explains a run lock."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / "dagster" / "executing"

    def hold(self, run_id: str) -> None:
        """Hold the lock of a run until `release` is called or this process ends.

        The lock is shared. If two processes execute the same run, both hold its lock.
        """
        path = self._path(run_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        _held[path] = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        fcntl.flock(_held[path], fcntl.LOCK_SH)
        os.pwrite(_held[path], b"%-20d" % os.getpid(), 0)

    def holder(self, run_id: str) -> psutil.Process | None:
        """Return the process that executes a run, if it is on this machine and is not this process.

        The file contains the process id. Since the file was written, another process may have got this id. The id may
        also belong to a process of another container. So the process must also have the file open.
        """
        path = self._path(run_id).resolve()  # The kernel lists open files by their paths without symbolic links.
        with suppress(OSError, ValueError, psutil.Error):
            process = psutil.Process(int(path.read_bytes()))
            if process.pid != os.getpid() and any(Path(file.path) == path for file in process.open_files()):
                return process
        return None

    def mark_abandoned(self, run_id: str) -> None:
        """Make an unlocked lock file for a run whose process is not on this machine, such as a run of a restored
        lab."""
        path = self._path(run_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))

    def release(self, run_id: str) -> None:
        """Remove the lock of a run that has ended. Any process may call this method, even if it does not hold the
        lock."""
        path = self._path(run_id)
        path.unlink(missing_ok=True)
        descriptor = _held.pop(path, None)
        if descriptor is not None:
            os.close(descriptor)

    def abandoned(self, run_id: str) -> bool:
        """Return whether a process of this lab executed the run but ended without recording the end of the run."""
        try:
            descriptor = os.open(self._path(run_id), os.O_RDWR | os.O_NOFOLLOW)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(descriptor)
        return True

    def _path(self, run_id: str) -> Path:
        return self._folder / f"{run_id}.lock"
