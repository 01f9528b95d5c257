"""Start, stop and inspect the embedded PostgreSQL server of a lab, given the lab's settings.

This module only delegates: `cluster.py` starts the server, and `watcher.py` stops it.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from thumblab_core.embedded_postgres import cluster, location, owner, watcher
from thumblab_core.errors import LabError
from thumblab_core.settings import Settings


@dataclass(frozen=True)
class ServerStatus:
    """The state of an embedded server."""

    running: bool
    in_use: bool
    """Whether any process uses the server. As long as a process uses the server, the server keeps running."""
    kept: bool
    """Whether the server runs even while no process uses it, because `thumblab db start` was called."""
    folder: Path | None
    """The folder of the cluster, or None if it was never made."""


def start(settings: Settings, keep: bool = False) -> Path:
    """Start the server if it does not run. Return the folder of its cluster. A missing folder is made.

    The server runs at least as long as this process. If `keep` is true, the server runs until `stop` is called, even
    after the end of this process. Raises LabError if the server cannot run, or if the settings name an external server.
    """
    _refuse_external(settings)
    with folder_errors(settings):
        home = location.make_home(settings.data_dir)
        cluster.use(home, keep)
        return home


def stop(settings: Settings, force: bool = False) -> bool:
    """Undo `start(settings, keep=True)`, and stop the server if no process uses it.

    If `force` is true, the server is stopped even if processes use it. Returns False if the server still runs, because
    processes use it. The server then stops when the last of these processes ends. Raises LabError if the settings name
    an external server, if the server belongs to another host, or if the server does not end.
    """
    _refuse_external(settings)
    with folder_errors(settings):
        home = location.find_home(settings.data_dir)
        return home is None or cluster.release(home, force)


def take_over(settings: Settings) -> str | None:
    """Let this host run the server, even if the server last ran on another host.

    Returns a description of the other host, or None if there is no other host.

    If there is another host, its heartbeat is watched for 30 seconds. Raises LabError if this heartbeat continues, if a
    process of the server is alive on this machine, or if the settings name an external server.
    """
    _refuse_external(settings)
    with folder_errors(settings):
        home = location.find_home(settings.data_dir)
        previous_host = None if home is None else cluster.take_over(home)
        return None if previous_host is None else owner.described(previous_host)


def other_host(settings: Settings) -> str | None:
    """Return a description of another host that perhaps runs the server. Return None if there is no such host."""
    with folder_errors(settings):
        home = location.find_home(settings.data_dir)
        holder = None if home is None else owner.other_holder(home)
        return None if holder is None else owner.described(holder)


def status(settings: Settings) -> ServerStatus:
    """Return the state of the server without starting anything."""
    with folder_errors(settings):
        home = location.find_home(settings.data_dir)
        if home is None:
            return ServerStatus(running=False, in_use=False, kept=False, folder=None)
        return ServerStatus(cluster.reachable(home), watcher.in_use(home), (home / "keep").exists(), home)


@contextmanager
def folder_errors(settings: Settings) -> Iterator[None]:
    """If the `with` block raises an OSError, raise a LabError with the name of the data folder instead."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise LabError(
                f"The embedded database cannot be used, because no room is left on the disk of {settings.data_dir}. "
                "Make room; the database then starts with all of its data."
            ) from error
        if error.errno == errno.EROFS:
            raise LabError(
                f"The embedded database cannot be used, because {error.filename or settings.data_dir} is on a read-only "
                "file system. Mount it for writing; the database then starts with all of its data. If nobody mounted it "
                "read-only, its disk may be failing: see the messages of the kernel (dmesg)."
            ) from error
        raise LabError(
            f"The database folder under {settings.data_dir} cannot be used: {error.filename or ''} {error.strerror}. "
            "Set THUMBLAB_DATA_DIR to a folder of your own."
        ) from error


def _refuse_external(settings: Settings) -> None:
    if settings.database_url is not None:
        raise LabError(
            "THUMBLAB_DATABASE_URL names a server that the lab does not start or stop. Unset this setting first."
        )
