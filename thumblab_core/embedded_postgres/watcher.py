"""Stop an embedded server when the last process that uses it has ended. `cluster.py` also runs this file as a script.

Locks show whether any process uses a server. A list of process ids would be less reliable. The kernel releases the
locks of a process, no matter how the process ends. A forked child inherits the locks of its parent. The lock files are
beside the server's data:

    users.lock   a shared lock of every process that uses the server, held as long as the process lives
    look.lock    an exclusive lock of a process that checks whether users.lock is free
    start.lock   an exclusive lock of a process that starts or stops the server
    watch.lock   an exclusive lock of the watcher, which waits until users.lock is free and then stops the server

The watcher also writes a heartbeat, by which other hosts see that this host runs the server. If another host has taken
the cluster over, the watcher kills the server of this host, because two servers would destroy the data.

`owner.py` decides which host may start and stop the server. This module imports neither settings nor SQLAlchemy, so
that the watcher process needs little memory.
"""

import hashlib
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil

from thumblab_core.embedded_postgres import owner
from thumblab_core.embedded_postgres.owner import locked, open_file, try_lock
from thumblab_core.heartbeat import BEAT_SECONDS


def folder_tag(home: Path) -> str:
    """Return the `cluster_name` of the server in `home`. The processes of the server are found by this name."""
    return f"thumblab-{hashlib.sha256(os.fsencode(home)).hexdigest()[:12]}"


def in_use(home: Path) -> bool:
    """Return whether any process uses the server. The result is also true if only this process uses it."""
    # Each process that uses the server holds a shared lock on users.lock. To detect these locks, this process tries to
    # lock the file exclusively. If two processes tried at the same time, one process could find the lock of the other
    # process, and conclude that the server is in use. So look.lock lets only one process try at a time.
    with locked(home, "look.lock"):
        descriptor = open_file(home, "users.lock")
        try:
            return not try_lock(descriptor)
        finally:
            os.close(descriptor)


def processes(home: Path) -> list[psutil.Process]:
    """Return every process of the server in `home` that runs on this host. If the postmaster is alive, it comes first.

    The processes are found by name and command line, which every user may read. A process id would not be enough: when
    a process of the server has ended, another process may get its id.
    """
    mark = folder_tag(home)
    running = [
        process
        for process in psutil.process_iter(["name", "cmdline", "ppid"])
        if process.info["name"] == "postgres"
        and mark in " ".join(process.info["cmdline"] or ())
        and _is_of_this_host(process)
    ]
    ids = {process.pid for process in running}
    return sorted(running, key=lambda process: process.info["ppid"] in ids or not is_postmaster(process))


def _is_of_this_host(process: psutil.Process) -> bool:
    """Return whether the process is in the PID namespace of this process.

    A machine also sees the processes of its containers. But a container is a host of its own, with its own server.
    """
    try:
        return str(Path(f"/proc/{process.pid}/ns/pid").readlink()) == owner.this_host().namespace
    except FileNotFoundError:
        return not owner.this_host().namespace  # The system has no namespaces, or the process has ended.
    except PermissionError:
        # This process may not read the facts about processes of another user. Only root may run a server as another
        # user, so root started this server. Assume that it runs on this host.
        return True


def is_postmaster(process: psutil.Process) -> bool:
    """Return whether the process is the postmaster, the main process of the server.

    Only the postmaster shows its arguments in the process list. Its children show `postgres: CLUSTER: TASK` instead.
    """
    return any(argument.startswith("cluster_name=") for argument in process.info["cmdline"] or ())


def stop(home: Path) -> bool:
    """Stop the server in `home` if it runs. Return whether the server has ended. The caller holds start.lock.

    The server first gets the signal for an orderly stop. If it does not end, it gets stronger signals. No signal loses
    a committed transaction. When the server has ended, its pid file, its socket and host.json are removed.

    If the disk is read-only, these files stay, as they do after a power cut. The next start replaces them.

    If the cluster now belongs to another host, kill the server on this host, and keep the files, which belong to the
    other host.
    """
    if owner.other_holder(home) is not None:
        fence(home)
        return True
    for number, seconds in ((signal.SIGINT, 30), (signal.SIGQUIT, 5), (signal.SIGKILL, 5)):
        running = processes(home)
        # SIGINT makes the postmaster end in an orderly way. The children do not get SIGINT, because SIGINT has another
        # meaning for them.
        for process in running[:1] if number == signal.SIGINT and running and is_postmaster(running[0]) else running:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        deadline = time.monotonic() + (seconds if running else 1)
        # A process that has ended but was not reaped (a zombie) keeps its id, perhaps for ever. So this loop does not
        # wait until the ids are gone. It calls `processes`, which leaves zombies out.
        while not (ended := not processes(home) and not owner.server_lives(home)) and time.monotonic() < deadline:
            time.sleep(0.02)
        if ended:
            break
    else:
        return False
    for leftover in (home / "data" / "postmaster.pid", home / ".s.PGSQL.5432", home / ".s.PGSQL.5432.lock"):
        owner.remove(leftover)
    owner.remove_record(home)
    return True


def fence(home: Path) -> None:
    """Kill all processes of a server in `home` that are still on this host. The cluster now belongs to another host.

    The signal is SIGKILL. After any other signal, PostgreSQL could still write to the data, or remove the pid file of
    the other host's server. Committed transactions are in the write-ahead log, so none of them is lost.
    """
    for process in processes(home):
        with suppress(psutil.NoSuchProcess):
            process.kill()


def show_life(home: Path) -> None:
    """Write beats of the heartbeat for ever. If another host takes the cluster over, kill the server of this host."""
    while True:
        # A full or broken disk must not end the heartbeat. The next beat tries again.
        with suppress(OSError):
            if not owner.show_life(home):
                fence(home)
        time.sleep(BEAT_SECONDS)


def watch(home: Path, watch_lock: int) -> None:
    """Wait until no process uses the server. Then stop the server and return, unless `home` has the file `keep`. If
    `home` is read-only, stop the server in spite of this file.
    """
    threading.Thread(target=show_life, args=(home,), daemon=True).start()
    while True:
        with locked(home, "users.lock"):
            pass
        with locked(home, "start.lock"):
            # While this process holds start.lock, no other process can begin to use the server, because that needs
            # start.lock too.
            if in_use(home):
                continue
            # A server on a read-only disk can store nothing, and nobody can mount the disk again while it runs. So it
            # is stopped, although `keep` cannot be removed.
            if not (home / "keep").exists() or owner.is_read_only(home):
                stop(home)
                # Release watch.lock before start.lock. So the next process that gets start.lock finds watch.lock free,
                # and starts a new watcher.
                os.close(watch_lock)
                return
        time.sleep(BEAT_SECONDS)


if __name__ == "__main__":
    try:
        watch(Path(sys.argv[1]), watch_lock=1)
    except FileNotFoundError:
        # The folder of the cluster was deleted. The server notices this and ends by itself, so the watcher does not
        # stop it.
        sys.exit(0)
