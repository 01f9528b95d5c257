"""Start the embedded PostgreSQL server of a lab for the first process that needs it. `watcher.py` stops the server."""

import fcntl
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from thumblab_core.embedded_postgres import location, owner, watcher
from thumblab_core.errors import LabError
from thumblab_core.settings import CHECKOUT

_held: dict[Path, int] = {}
"""The descriptors of users.lock that this process holds, by the folder of the cluster.

The descriptors stay open as long as the process lives, because each descriptor holds a lock. When the process ends, the
kernel releases the locks.
"""

_START_SECONDS = 120
"""How many seconds a server may take to start and answer."""


def use(home: Path, keep: bool = False) -> None:
    """Start the server in `home` if it does not run.

    The server runs at least as long as this process. If `keep` is true, the server runs until `release` is called, even
    after the end of this process.

    Raises LabError if the server does not start, or if another host runs a server in `home`.
    """
    if _holds(home) and reachable(home) and not keep and owner.other_holder(home) is None:
        return
    with owner.locked(home, "start.lock"):
        owner.refuse_other(home)
        if not _holds(home):
            _held[home] = owner.open_file(home, "users.lock")
            fcntl.flock(_held[home], fcntl.LOCK_SH)
        if keep:
            os.close(owner.open_file(home, "keep"))
        # The watcher is started before the server. So the server has a watcher that stops it, even if this process dies
        # during the start of the server.
        _ensure_watched(home)
        if not reachable(home):
            _start(home)


def release(home: Path, force: bool) -> bool:
    """Undo `use(home, keep=True)`. Stop the server if no process uses it.

    If `force` is true, stop the server even if processes use it. Return False if the server still runs, because
    processes use it. Raises LabError if the server belongs to another host, or does not end.
    """
    with owner.locked(home, "start.lock"):
        owner.refuse_other(home)
        owner.remove(home / "keep")
        if watcher.in_use(home) and not force:
            _ensure_watched(home)
            return False
        _stop(home)
        return True


def take_over(home: Path) -> owner.Host | None:
    """Let this host use the cluster, even if the server of the cluster last ran on another host.

    Returns the other host, or None if there is no other host.

    If there is another host, this function first watches its heartbeat for 30 seconds. Raises LabError if the heartbeat
    continues, or if a process of the server is alive on this machine.
    """
    with owner.locked(home, "start.lock"):
        return owner.take_over(home)


def reachable(home: Path) -> bool:
    """Return whether a server accepts connections at the socket of `home`."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(socket_dir(home) / ".s.PGSQL.5432"))
        except OSError:
            return False
    return True


def socket_dir(home: Path) -> Path:
    """Return the folder of the server's socket, for use in a URL. The folder is `home` or a link to `home`.

    A link is needed if the path is too long: the path of a socket may have about 100 bytes. A link is also needed if
    the path contains a character with a special meaning in a URL or to libpq. Raises LabError if the link cannot be
    made, because another file has its path.
    """
    if len(os.fsencode(home)) <= 85 and re.fullmatch(r"[A-Za-z0-9_./-]+", str(home)):
        return home
    return link_to(home)


def link_to(folder: Path) -> Path:
    """Return a link to the folder. The link has a short path without special characters, and is made if it is missing.

    Raises LabError if another file has the path of the link.
    """
    # /tmp exists on every system and has a short path. The owner of the link is checked.
    link = Path("/tmp") / f"{watcher.folder_tag(folder)}-{os.geteuid()}"  # noqa: S108
    try:
        link.symlink_to(folder)
    except FileExistsError:
        if link.lstat().st_uid != os.geteuid() or not link.is_symlink() or link.readlink() != folder:
            raise LabError(
                f"{link} should be your own link to {folder}, but is not. Remove it and try again."
            ) from None
    return link


def _holds(home: Path) -> bool:
    """Return whether this process holds a lock on the file users.lock of the folder that is at `home` now.

    If the folder was deleted and made again, this process may hold only a lock on the deleted file.
    """
    try:
        return home in _held and os.path.samestat(os.fstat(_held[home]), (home / "users.lock").stat())
    except OSError:
        return False


def _ensure_watched(home: Path) -> None:
    """Start the watcher process of the server, unless a watcher runs already."""
    lock = owner.open_file(home, "watch.lock")
    try:
        if not owner.try_lock(lock):
            return
        # The watcher imports psutil and the lab from the same folders as this process.
        imported = [str(Path(psutil.__file__).parents[1]), str(CHECKOUT)]
        # The watcher must hold the lock on watch.lock. So the shell gets the locked file as its standard output, starts
        # the watcher, and passes the file on to the watcher. The shell ends immediately, so that the watcher is no
        # child of this process. The watcher has its own session, so that Ctrl-C in a terminal does not stop it.
        subprocess.run(
            ["/bin/sh", "-c", '"$@" &', "sh", sys.executable, "-P", watcher.__file__, str(home)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(imported)},
            stdin=subprocess.DEVNULL,
            stdout=lock,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
            check=True,
        )
    finally:
        os.close(lock)


def _start(home: Path) -> None:
    """Start the server. Create its data folder first if it is missing. The caller holds start.lock."""
    deadline = time.monotonic() + _START_SECONDS
    while (running := watcher.processes(home)) and watcher.is_postmaster(running[0]):
        if reachable(home):
            return
        if time.monotonic() > deadline:
            raise LabError(f"The database in {home} runs but does not answer. Try: thumblab db stop --force")
        time.sleep(0.05)
    # Remove what would block a new start. Processes of the server may still run after their main process, the
    # postmaster, has died. An old postmaster.pid may name a process id that now belongs to another process.
    _stop(home)
    owner.claim(home)
    status = home.stat()
    user = (status.st_uid, status.st_gid) if os.geteuid() == 0 else None
    programs = location.programs(user)
    data = home / "data"
    if not data.exists():
        # A start that was killed may have left its unfinished data folder. Errors of deleting this folder are ignored,
        # because the initdb of that start may still be writing to it.
        for leftover in home.glob("data.*.new"):
            shutil.rmtree(leftover, ignore_errors=True)
        fresh = home / f"data.{os.getpid()}.new"
        # These options give the same collation on every machine, even if the machines have different languages.
        locale = ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        _run(home, user, [str(programs / "initdb"), "-D", str(fresh), "-U", "postgres", "--auth=trust", *locale])
        fresh.rename(data)
    # pg_ctl passes these options to a shell, so they contain no path. PGDATA names the data folder. `-k ..` is relative
    # to the data folder and puts the socket into `home`, which only its owner may enter.
    options = f"-k .. -h '' -p 5432 -c cluster_name={watcher.folder_tag(home)} -c unix_socket_permissions=0700"
    start = [str(programs / "pg_ctl"), "start", "-w", "-s", "-t", str(_START_SECONDS), "-l", "log"]
    try:
        with owner.server_lock(home) as lock:
            _run(home, user, [*start, "-o", f"{options} -c max_connections=200"], inherited=(lock,))
    except LabError:
        # pg_ctl also fails if the server runs already. For example, the pg_ctl of a killed process may have started the
        # server in the meantime. So the failure counts only if the server does not answer.
        if not reachable(home):
            raise


def _stop(home: Path) -> None:
    if not watcher.stop(home):
        raise LabError(
            f"Processes of the database in {home} do not end. Stop every container and program that uses this folder."
        )


def _run(home: Path, user: tuple[int, int] | None, command: list[str], inherited: tuple[int, ...] = ()) -> None:
    """Run a program of PostgreSQL as `user`.

    The program gets its own session. So if the program starts a server, Ctrl-C in a terminal does not stop the server.
    Raises LabError with PostgreSQL's reason if the program fails.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_"))}
    environment |= {"PGDATA": str(home / "data"), "LC_ALL": "C"}
    log = home / "log"
    logged = log.stat().st_size if log.exists() else 0
    # The output goes to a file, because a server that the program starts inherits the output. The server would keep a
    # pipe open, and reading from the pipe would not end.
    with tempfile.TemporaryFile() as output:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=home,
            env=environment,
            user=user[0] if user else None,
            group=user[1] if user else None,
            extra_groups=[] if user else None,
            start_new_session=True,
            pass_fds=inherited,
        )
        if done.returncode == 0:
            return
        output.seek(0)
        printed = output.read().decode(errors="replace")
    if log.exists():
        with log.open("rb") as lines:
            lines.seek(logged)
            printed += lines.read().decode(errors="replace")
    # Lines with FATAL, PANIC or error give PostgreSQL's reason. The last line only says that something failed.
    reasons = re.findall(r"(?:FATAL|PANIC|error): +(.*)", printed) or printed.split("\n")[-2:-1] or ["no reason given"]
    full = [reason for reason in reasons if "No space left" in reason]
    # If the disk is full, PostgreSQL may fail a second time while it undoes its work. Its last line then gives another
    # reason, so all reasons are searched.
    if full:
        raise LabError(
            f"The embedded database did not start, because no room is left on the disk ({full[0]}). Make room; the "
            "database then starts with all of its data."
        )
    raise LabError(f"The embedded database did not start: {reasons[-1]}. Its log is {log}.")
