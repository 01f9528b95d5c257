"""Record a running `thumblab up` in the data folder of its lab, so that other commands find the lab's servers.

`up` holds a lock on the record, `running.json`, as long as it runs. The kernel releases the lock, no matter how `up`
ends. A record without a lock therefore belongs to a lab that has stopped.
"""

import fcntl
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from thumblab_core.errors import LabError

_FILE = "running.json"
_PATIENCE = 2.0
"""How many seconds `announced` tries to get the lock.

A process that only reads the record holds the lock for a much shorter time. So if `announced` still does not get the
lock, another `up` holds it.
"""


@dataclass(frozen=True)
class Running:
    """The URLs of the servers of a running lab."""

    dagster: str
    mlflow: str
    scoring: str


@contextmanager
def announced(data_dir: Path, running: Running) -> Iterator[None]:
    """Record that the lab runs, until the `with` block ends.

    Raises LabError if another `thumblab up` runs on the data folder.
    """
    with (data_dir / _FILE).open("a+") as record:
        deadline = time.monotonic() + _PATIENCE
        while not _locked(record, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                raise _already_runs(data_dir, _read(record))
            time.sleep(0.05)
        record.truncate(0)
        record.write(json.dumps(asdict(running)))
        record.flush()
        yield


def refuse_second(data_dir: Path) -> None:
    """Raise LabError if a `thumblab up` runs on the data folder. This function does not write the record."""
    running = running_lab(data_dir)
    if running is not None:
        raise _already_runs(data_dir, running)


def _already_runs(data_dir: Path, running: Running | None) -> LabError:
    where = f": Dagster is at {running.dagster}" if running else ""
    return LabError(f"another `thumblab up` runs on {data_dir}{where}; use it, or stop it first")


def running_lab(data_dir: Path) -> Running | None:
    """Return the servers of the `thumblab up` that runs on `data_dir`, or None if no lab runs there."""
    try:
        with (data_dir / _FILE).open() as record:
            return None if _locked(record, fcntl.LOCK_SH) else _read(record)
    except OSError:
        return None


def _locked(record: TextIO, mode: int) -> bool:
    """Try to lock the file, without waiting. Return whether the file is locked now."""
    try:
        fcntl.flock(record, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(record: TextIO) -> Running | None:
    """Return the record, or None if it is half written or comes from another version of the lab."""
    record.seek(0)
    try:
        return Running(**json.load(record))
    except (ValueError, TypeError):
        return None
