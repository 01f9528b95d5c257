"""Record a running `thumblab up` in the data folder of its lab, so that other commands find the lab's servers.

`up` holds a lock on the record, `running.json`, as long as it runs. The kernel releases the lock, no matter how `up`
ends. A record without a lock therefore belongs to a lab that has stopped.

On some shared disks, a host does not see the locks of another host. `up` therefore also writes the name of its host
into the record, and writes a heartbeat, see `heartbeat.py`.
"""

import errno
import fcntl
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from thumblab_core.embedded_postgres.owner import Host, this_host
from thumblab_core.errors import LabError
from thumblab_core.heartbeat import BEAT_SECONDS, SILENT_SECONDS, beat, beats

_FILE, _HEARTBEAT = "running.json", "running.heartbeat"
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


def port_file(data_dir: Path, server: str) -> Path:
    """Return the file in the data folder that stores the port of a server, so that each start uses the same port."""
    return data_dir / f"{server}-port"


def read_port(file: Path) -> int | None:
    """Return the port that is stored in the file, or None if the file is missing or contains no valid port."""
    with suppress(OSError, ValueError):
        port = int(file.read_text())
        if 0 < port < 2**16:
            return port
    return None


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
        record.write(json.dumps({**asdict(running), "host": asdict(this_host())}))
        record.flush()
        _beat(data_dir / _HEARTBEAT)
        ended = threading.Event()
        heart = threading.Thread(target=_beat_until, args=(data_dir / _HEARTBEAT, ended), daemon=True)
        heart.start()
        try:
            yield
        finally:
            ended.set()
            heart.join(2 * BEAT_SECONDS)
            # An empty record shows that this lab has stopped. So a start on another host need not watch the heartbeat.
            # If the file system has become read-only, the record stays, and a start on another host has to watch.
            try:
                record.truncate(0)
            except OSError as error:
                if error.errno != errno.EROFS:
                    raise


def _beat_until(path: Path, ended: threading.Event) -> None:
    while not ended.wait(BEAT_SECONDS):
        _beat(path)


def _beat(path: Path) -> None:
    with suppress(OSError):  # A full disk must not end the heartbeat. The next beat tries again.
        beat(path)


def refuse_second(data_dir: Path) -> None:
    """Raise LabError if a `thumblab up` runs on the data folder, on this host or on another host.

    This function does not write the record. If another host wrote the record and has not emptied it since, this
    function watches the heartbeat of that host for `SILENT_SECONDS`.
    """
    running = running_lab(data_dir)
    if running is not None:
        raise _already_runs(data_dir, running)
    with suppress(FileNotFoundError, NotADirectoryError), (data_dir / _FILE).open() as record:
        host, this = _host(record), this_host()
        # Hosts with the same boot id run on one kernel, whose locks were checked above. If this machine wrote the
        # record and was restarted since then, the process that wrote the record has ended.
        if host is None or host.boot == this.boot != "" or this.is_machine_of(host):
            return
        if not this.shares_processes_with(host) and beats(data_dir / _HEARTBEAT, SILENT_SECONDS):
            raise _already_runs(data_dir, _read(record), f" on host {host.name or 'without a name'}")


def _already_runs(data_dir: Path, running: Running | None, host: str = "") -> LabError:
    where = f": Dagster is at {running.dagster}" if running else ""
    return LabError(f"another `thumblab up` runs on {data_dir}{host}{where}; use it, or stop it first")


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
        return Running(**{name: url for name, url in json.load(record).items() if name != "host"})
    except (ValueError, TypeError, AttributeError):
        return None


def _host(record: TextIO) -> Host | None:
    """Return the host that wrote the record, or None if the record contains no host."""
    record.seek(0)
    try:
        return Host(**json.load(record)["host"])
    except (ValueError, TypeError, KeyError):
        return None
