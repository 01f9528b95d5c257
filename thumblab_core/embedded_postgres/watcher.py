"""Stop an embedded server when its last user is gone; also run as a script of its own, by path, by `cluster.py`.

Who uses a server is a question of locks, not of lists of process ids: the kernel releases a lock however its holder ends,
and a forked child holds its parent's. The files lie beside the server's data:

    users.lock   shared, by every process that uses the server, for as long as it lives
    look.lock    exclusive, by whoever looks whether users.lock is free
    start.lock   exclusive, by whoever is starting or stopping the server
    watch.lock   exclusive, by the one watcher, which waits until users.lock is free and then stops the server

Which host may do any of this is in `owner.py`. This module imports neither settings nor SQLAlchemy, so that the process
which waits stays small.
"""

import fcntl
import hashlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from thumblab_core.embedded_postgres import owner
from thumblab_core.embedded_postgres.owner import open_file, try_lock


def tag(home: Path) -> str:
    """The `cluster_name` of the server in `home`, by which its processes are known wherever the system shows them."""
    return f"thumblab-{hashlib.sha256(os.fsencode(home)).hexdigest()[:12]}"


@contextmanager
def locked(home: Path, name: str) -> Iterator[int]:
    """Hold `home/name` exclusively, waiting for it."""
    descriptor = open_file(home, name)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def in_use(home: Path) -> bool:
    """Whether any process uses the server, this one included."""
    # Only an exclusive lock tells of shared ones. So one looks at a time: two would take each other for users.
    with locked(home, "look.lock"):
        descriptor = open_file(home, "users.lock")
        try:
            return not try_lock(descriptor)
        finally:
            os.close(descriptor)


def processes(home: Path) -> list[psutil.Process]:
    """Every process of the server in `home`, the postmaster first where it lives.

    By name and command line, which every user may read: a process id alone may belong to somebody else by now.
    """
    mark = tag(home)
    found = [
        process
        for process in psutil.process_iter(["name", "cmdline", "ppid"])
        if process.info["name"] == "postgres" and mark in " ".join(process.info["cmdline"] or ())
    ]
    ids = {process.pid for process in found}
    return sorted(found, key=lambda process: process.info["ppid"] in ids or not is_postmaster(process))


def is_postmaster(process: psutil.Process) -> bool:
    """Only the postmaster shows its arguments; its children show `postgres: CLUSTER: what they do`."""
    return any(argument.startswith("cluster_name=") for argument in process.info["cmdline"] or ())


def stop(home: Path) -> bool:
    """Stop the server in `home`, if it runs; the caller holds start.lock. Committed work survives each of the ways.

    Returns whether it has ended. What it left is removed only then, and only where no other host runs one.
    """
    for how, seconds in ((signal.SIGINT, 30), (signal.SIGQUIT, 5), (signal.SIGKILL, 5)):
        running = processes(home)
        # SIGINT asks the postmaster for an orderly end; to its children it means other things.
        for process in running[:1] if how == signal.SIGINT and running and is_postmaster(running[0]) else running:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(how)
        deadline = time.monotonic() + (seconds if running else 1)
        # Asked of the process table, not of the ids: a zombie that nobody reaps would be waited for in vain.
        while not (ended := not processes(home) and not owner.server_lives(home)) and time.monotonic() < deadline:
            time.sleep(0.02)
        if ended:
            break
    else:
        return False
    if owner.other_holder(home) is not None:
        return True
    for left in (home / "data" / "postmaster.pid", home / ".s.PGSQL.5432", home / ".s.PGSQL.5432.lock"):
        left.unlink(missing_ok=True)
    owner.let_go(home)
    return True


def watch(home: Path, watch_lock: int) -> None:
    """Wait until nobody uses the server, stop it unless it is to be kept, and return."""
    while True:
        with locked(home, "users.lock"):
            pass
        with locked(home, "start.lock"):
            # Nobody could begin to use it since: whoever does so holds start.lock first.
            if in_use(home):
                continue
            if not (home / "keep").exists():
                stop(home)
            os.close(watch_lock)  # before start.lock is free, so that the next starter sees that it needs a watcher
            return


if __name__ == "__main__":
    try:
        watch(Path(sys.argv[1]), watch_lock=1)
    except FileNotFoundError:  # the folder was deleted, and the server ends by itself when it notices
        sys.exit(0)
