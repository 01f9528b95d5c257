"""Share the state of each worker of a service with the other workers.

Each worker writes its state to a file in a folder that all workers share. So any worker can answer `/health` and
`/metrics` for the whole service.
"""

import json
import multiprocessing
import os
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

_FORGET = "forget"
"""Name of the file whose text changes when the workers have to forget their indices."""

_LARGEST = 256 * 1024
"""Maximum number of bytes of the file of a worker. A larger file is ignored, because no worker can have written it."""


@dataclass(frozen=True)
class WorkerState:
    """The state of a worker: whether it is ready, and which releases it serves and refuses.

    `served` maps `kind/scope` to the id of the served release. `refused` maps `kind/scope` to the reason for the
    refusal.
    """

    ready: bool
    served: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Worker:
    """A worker with its state. `started` is the Unix time at which its process started. `itself` is true for the worker
    that calls `WorkerRegistry.all`.
    """

    started: float
    state: WorkerState
    itself: bool


class WorkerRegistry:
    """The states of all workers of a service, in files in `folder`. If `folder` is None, there is one worker.

    `describe` returns the state of this worker. If the folder cannot be read or written, `failure` says why, and only
    this worker is known.
    """

    def __init__(self, folder: Path | None, describe: Callable[[], WorkerState]) -> None:
        self._folder = folder
        self._describe = describe
        self._started = _started(os.getpid())
        self._written: WorkerState | None = None
        self._forgotten = self._asked_to_forget()
        self.failure: str | None = None

    def update(self) -> None:
        """Write the state of this worker, if the state has changed."""
        state = self._describe()
        if self._folder is None or (state == self._written and self._path(os.getpid()).exists()):
            return
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            temporary = self._folder / f"{os.getpid()}.{secrets.token_hex(4)}.new"
            temporary.write_text(json.dumps({"started": self._started, **asdict(state)}))
            temporary.replace(self._path(os.getpid()))
        except OSError as error:
            self._fail(error)
        else:
            self._written, self.failure = state, None

    def remove(self) -> None:
        """Remove the state of this worker, because the worker ends."""
        if self._folder is not None:
            with suppress(OSError):
                self._path(os.getpid()).unlink(missing_ok=True)

    def ask_to_forget(self) -> None:
        """Ask the other workers to forget the indices in their memory. The other workers do this within about a second."""
        if self._folder is None:
            return
        self._forgotten = secrets.token_hex(8)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            written = self._folder / f"{os.getpid()}.{self._forgotten}.new"
            written.write_text(self._forgotten)
            written.replace(self._folder / _FORGET)
        except OSError as error:
            self._fail(error)

    def is_asked_to_forget(self) -> bool:
        """Return whether another worker has called `ask_to_forget` since the last call of this method."""
        before, self._forgotten = self._forgotten, self._asked_to_forget()
        return self._forgotten not in (None, before)

    def all(self) -> list[Worker]:
        """Return all living workers, the oldest first. The files of dead workers are removed."""
        workers = [Worker(psutil.boot_time() + self._started, self._describe(), True), *self._others()]
        return sorted(workers, key=lambda worker: worker.started)

    def has_other_ready(self) -> bool:
        """Return whether another worker of the service is ready."""
        return any(worker.state.ready for worker in self._others())

    def _others(self) -> list[Worker]:
        if self._folder is None:
            return []
        others = []
        try:
            paths = [path for path in self._folder.glob("*.json") if path.stem != str(os.getpid())]
        except OSError as error:
            self._fail(error)
            return []
        for path in paths:
            started, state = _read(path) or (None, None)
            if started is not None and state is not None and _lives(path.stem, started):
                others.append(Worker(psutil.boot_time() + started, state, False))
            else:
                with suppress(OSError):
                    path.unlink(missing_ok=True)
        return others

    def _asked_to_forget(self) -> str | None:
        if self._folder is not None:
            with suppress(OSError, ValueError):
                return (self._folder / _FORGET).read_text()[:64]
        return None

    def _path(self, process: int) -> Path:
        assert self._folder is not None
        return self._folder / f"{process}.json"

    def _fail(self, error: OSError) -> None:
        self.failure = f"the states of the workers cannot be shared ({error.strerror or type(error).__name__})"


def is_orphan() -> bool:
    """Return whether the supervisor of this worker is gone. Without a supervisor, no new worker would start if this
    worker died.
    """
    parent = multiprocessing.parent_process()
    return parent is not None and not parent.is_alive()


def _started(process: int) -> float:
    """Return when the process with this id started, in seconds after the boot of the machine. This time does not depend
    on the clock.
    """
    boot = psutil.boot_time()
    return psutil.Process(process).create_time() - boot


def _read(path: Path) -> tuple[float, WorkerState] | None:
    """Return the start time and the state of the worker that wrote a file. Return None if no worker wrote the file."""
    try:
        if path.stat().st_size > _LARGEST:
            return None
        stored = json.loads(path.read_text())
        state = WorkerState(stored["ready"] is True, _texts(stored["served"]), _texts(stored["refused"]))
        return float(stored["started"]), state
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _texts(stored: Mapping[str, str]) -> dict[str, str]:
    return {str(key): str(value) for key, value in stored.items()}


def _lives(process: str, started: float) -> bool:
    """Return whether the process with this id runs, and started at this time.

    If it started at another time, a new process has the id of a dead process. A process that has ended, but was not
    reaped by its parent process (a zombie), does not run.
    """
    try:
        is_same = abs(_started(int(process)) - started) < 1
        return is_same and psutil.Process(int(process)).status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, ValueError):
        return False
