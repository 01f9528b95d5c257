"""One embedded PostgreSQL cluster: started by the first process that needs it, see `watcher.py` for how it ends."""

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
"""This process's descriptor of users.lock, per cluster; never closed, so that the kernel gives it back at the very end."""

_START_SECONDS = 120


def use(home: Path, keep: bool = False) -> None:
    """Have the server in `home` running, and hold it up for as long as this process lives (`keep`: until `release`).

    Raises LabError when it does not start, or another host runs one there.
    """
    if _holds(home) and reachable(home) and not keep and owner.other_holder(home) is None:
        return
    with watcher.locked(home, "start.lock"):
        owner.refuse_other(home)
        if not _holds(home):
            _held[home] = owner.open_file(home, "users.lock")
            fcntl.flock(_held[home], fcntl.LOCK_SH)
        if keep:
            os.close(owner.open_file(home, "keep"))
        _ensure_watched(home)  # before the start, so that a server whose starter dies does not stay
        if not reachable(home):
            _start(home)


def release(home: Path, force: bool) -> bool:
    """Keep the server no longer, and stop it unless others use it (`force`: even then). Returns whether it is stopped.

    Raises LabError when it is another host's, or does not end.
    """
    with watcher.locked(home, "start.lock"):
        owner.refuse_other(home)
        (home / "keep").unlink(missing_ok=True)
        if watcher.in_use(home) and not force:
            _ensure_watched(home)
            return False
        _stop(home)
        return True


def take_over(home: Path) -> owner.Host | None:
    """Let this host use the cluster, whichever host ran its server last. Returns that host where it was another one.

    Raises LabError where the server still runs, as far as this kernel knows.
    """
    with watcher.locked(home, "start.lock"):
        return owner.take_over(home)


def reachable(home: Path) -> bool:
    """Whether a server listens in `home`."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(socket_dir(home) / ".s.PGSQL.5432"))
        except OSError:
            return False
    return True


def socket_dir(home: Path) -> Path:
    """The folder to name in a URL: `home`, or a link to it where its path is longer than a socket's may be (about 100
    bytes), or holds a character that means something in a URL or to libpq. Raises LabError as `link_to` does."""
    if len(os.fsencode(home)) <= 85 and re.fullmatch(r"[A-Za-z0-9_./-]+", str(home)):
        return home
    return link_to(home)


def link_to(folder: Path) -> Path:
    """A link to the folder whose path is short and plain.

    Raises LabError when somebody else has a file where the link should be.
    """
    link = Path("/tmp") / f"{watcher.tag(folder)}-{os.geteuid()}"  # noqa: S108 - always there, always short; owner checked
    try:
        link.symlink_to(folder)
    except FileExistsError:
        if link.lstat().st_uid != os.geteuid() or not link.is_symlink() or link.readlink() != folder:
            raise LabError(f"{link} is in the way: it should be a link to {folder}. Remove it and try again.") from None
    return link


def _holds(home: Path) -> bool:
    """Whether this process holds users.lock: the file that is there now, not one of a folder that was deleted."""
    try:
        return home in _held and os.path.samestat(os.fstat(_held[home]), (home / "users.lock").stat())
    except OSError:
        return False


def _ensure_watched(home: Path) -> None:
    lock = owner.open_file(home, "watch.lock")
    try:
        if (home / "keep").exists() or not owner.try_lock(lock):
            return
        imported = [str(Path(psutil.__file__).parents[1]), str(CHECKOUT)]  # however they were found here
        # The lock travels to the watcher as its standard output, which any shell passes on; the shell is there to end at
        # once, so that the watcher is nobody's child. Its own session: Ctrl-C in a terminal is not meant for it.
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
    deadline = time.monotonic() + _START_SECONDS
    while (running := watcher.processes(home)) and watcher.is_postmaster(running[0]):
        if reachable(home):
            return
        if time.monotonic() > deadline:
            raise LabError(f"The database in {home} runs but does not answer. Try: thumblab db stop --force")
        time.sleep(0.05)
    # What is left without its postmaster can only be in the way. So is a postmaster.pid: its number may be another's by now.
    _stop(home)
    owner.claim(home)
    status = home.stat()
    user = (status.st_uid, status.st_gid) if os.geteuid() == 0 else None
    programs = location.programs(user)
    data = home / "data"
    if not data.exists():
        for left in home.glob("data.*.new"):  # of a start that was killed; its initdb may still be writing
            shutil.rmtree(left, ignore_errors=True)
        fresh = home / f"data.{os.getpid()}.new"
        # One collation on every machine, whatever its language.
        locale = ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        _run(home, user, [str(programs / "initdb"), "-D", str(fresh), "-U", "postgres", "--auth=trust", *locale])
        fresh.rename(data)
    # pg_ctl hands these to a shell, hence no path among them: the data folder comes from PGDATA, and `..`, relative to it,
    # puts the socket into `home`, which only its owner may enter.
    options = f"-k .. -h '' -p 5432 -c cluster_name={watcher.tag(home)} -c unix_socket_permissions=0700"
    start = [str(programs / "pg_ctl"), "start", "-w", "-s", "-t", str(_START_SECONDS), "-l", "log"]
    try:
        with owner.server_lock(home) as lock:
            _run(home, user, [*start, "-o", f"{options} -c max_connections=200"], inherited=(lock,))
    except LabError:
        if not reachable(home):  # it is when the pg_ctl of a starter that was killed came before ours
            raise


def _stop(home: Path) -> None:
    if not watcher.stop(home):
        raise LabError(f"Processes of the database in {home} do not end. Stop the lab wherever it runs on {home}.")


def _run(home: Path, user: tuple[int, int] | None, command: list[str], inherited: tuple[int, ...] = ()) -> None:
    """Run a program of PostgreSQL as `user` in its own session (a Ctrl-C is not meant for the server)."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_"))}
    environment |= {"PGDATA": str(home / "data"), "LC_ALL": "C"}
    log = home / "log"
    logged = log.stat().st_size if log.exists() else 0
    with tempfile.TemporaryFile() as output:  # not a pipe: the server would hold it open
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
        said = output.read().decode(errors="replace")
    if log.exists():
        with log.open("rb") as lines:
            lines.seek(logged)
            said += lines.read().decode(errors="replace")
    # PostgreSQL's own reason where it gave one, rather than the program's last word that something failed.
    reasons = re.findall(r"(?:FATAL|PANIC|error): +(.*)", said) or said.split("\n")[-2:-1] or ["no reason given"]
    raise LabError(f"The embedded database did not start: {reasons[-1]}. Its log is {log}.")
