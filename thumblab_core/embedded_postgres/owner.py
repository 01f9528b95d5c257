"""Which host an embedded cluster belongs to: one at a time, and a container counts as a host of its own.

    host.json     the host that runs the server, written before its start and removed after its end
    server.lock   held by the processes of the server, so that the kernel says whether any of them lives

A host does not see the processes of another one and, on many shared file systems, not its locks either. So the record
decides. The lock decides only where it can: between containers of one kernel, and for a host that has restarted since.

This module imports as little as `watcher.py`, which uses it.
"""

import fcntl
import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from thumblab_core.durable_files import NO_LINKS, sync
from thumblab_core.errors import LabError

_RECORD, _LOCK = "host.json", "server.lock"


@dataclass(frozen=True)
class Host:
    """A host: its name and machine id survive a restart; its boot and PID namespace say which processes it sees."""

    name: str
    machine: str
    boot: str
    namespace: str

    def sees_what(self, other: "Host") -> bool:
        """Whether this host sees the same processes as the other one, under whatever name.

        Where the system tells no boot, as on macOS, the name decides, for there is nothing else.
        """
        if self.boot or other.boot:
            return (self.boot, self.namespace) == (other.boot, other.namespace)
        return (self.name, self.machine) == (other.name, other.machine)

    def is_machine_of(self, other: "Host") -> bool:
        """Whether the two are known to be the same machine or container, perhaps restarted in between.

        A name alone says nothing: containers on two machines may have one name, and no machine id.
        """
        return bool(self.machine) and (self.name, self.machine) == (other.name, other.machine)


def this_host() -> Host:
    """The host of this process; parts that its system does not tell are empty."""
    try:
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        namespace = ""
    return Host(platform.node(), _line("/etc/machine-id"), _line("/proc/sys/kernel/random/boot_id"), namespace)


def other_holder(home: Path) -> Host | None:
    """Another host that may have a server running in `home`; None where this host may use it."""
    held, mine = _read(home), this_host()
    if held is None or mine.sees_what(held):
        return None
    if not server_lives(home) and (held.boot == mine.boot != "" or mine.is_machine_of(held)):
        return None  # on this kernel, or before this machine restarted: the server has ended, and left its record
    return held


def refuse_other(home: Path) -> None:
    """Raise LabError where the cluster belongs to another host."""
    holder = other_holder(home)
    if holder is not None:
        raise LabError(
            f"The database in {home} is in use by {described(holder)}, and a data folder belongs to one host at a time. "
            "Stop the lab there. If nothing runs there any more, run here: thumblab db take-over"
        )


def claim(home: Path) -> None:
    """Record that this host runs the server; the caller holds start.lock. Raises LabError where another host does."""
    refuse_other(home)
    aside = home / f"host.{os.urandom(6).hex()}.new"  # two containers may have the same process id
    try:
        descriptor = open_file(home, aside.name)
        try:
            os.truncate(descriptor, 0)
            os.write(descriptor, json.dumps(asdict(this_host())).encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if _read(home) is None:
            with suppress(FileExistsError):
                _put_first(aside, home / _RECORD)
            refuse_other(home)
        else:
            aside.replace(home / _RECORD)
    finally:
        aside.unlink(missing_ok=True)
    sync(home)


def _put_first(aside: Path, record: Path) -> None:
    """Make `record` of `aside`. Of hosts that share no locks and are here at once, all but the first get FileExistsError."""
    try:
        record.hardlink_to(aside)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        # Empty for a moment, which other hosts read as somebody's.
        os.close(os.open(record, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        aside.replace(record)


def let_go(home: Path) -> None:
    """Forget which host ran the server, which has ended."""
    (home / _RECORD).unlink(missing_ok=True)


def take_over(home: Path) -> Host | None:
    """Let this host use the cluster of another one, whose server a person says has ended. Returns the other host.

    Raises LabError where the kernel knows that a process of its server lives.
    """
    holder = other_holder(home)
    if holder is None:
        return None
    if server_lives(home):
        raise LabError(f"The server in {home} still runs, on {described(holder)}. Stop the lab there.")
    let_go(home)
    return holder


def server_lives(home: Path) -> bool:
    """Whether a process of a server in `home` lives, in whatever PID namespace of this kernel."""
    descriptor = open_file(home, _LOCK)
    try:
        return not try_lock(descriptor, fcntl.LOCK_SH)  # shared: two who look at once must not take each other for it
    finally:
        os.close(descriptor)


@contextmanager
def server_lock(home: Path) -> Iterator[int]:
    """A descriptor of server.lock to start the server with: who inherits it holds the lock."""
    descriptor = open_file(home, _LOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def described(host: Host) -> str:
    mine = this_host()
    where = " (a container or another PID namespace of this machine)" if host.boot == mine.boot != "" else ""
    return f"host {host.name or 'without a name'}{where}"


def open_file(home: Path, name: str) -> int:
    """A descriptor of `home/name`, made when missing, owned by the owner of `home`.

    Never through a link: root opens these files in a folder that belongs to a lesser user.
    """
    descriptor = os.open(home / name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    if os.geteuid() == 0 and os.fstat(descriptor).st_uid == 0:
        owner = home.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
    return descriptor


def try_lock(descriptor: int, how: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(home: Path) -> Host | None:
    try:
        return Host(**json.loads((home / _RECORD).read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        return Host(f"unknown ({_RECORD} cannot be read)", "", "", "")


def _line(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
