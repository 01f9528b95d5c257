"""Decide to which host an embedded cluster belongs. A cluster belongs to one host at a time. A container counts as a
host.

Three files beside the server's data say which host the cluster belongs to:

    host.json     names the host that runs the server; written before the server starts, removed after it ends
    server.lock   locked by the processes of the server, so that a lock shows that a process is alive
    heartbeat     rewritten every second by the watcher of the server, see `heartbeat.py`

A host does not see the processes of another host. On many shared file systems, the host does not see the other host's
locks either. Therefore host.json decides which host may use the cluster. The lock decides only in the two cases in
which this host surely sees the locks. In one case, both hosts are containers on the same kernel. In the other case, the
host has restarted since it wrote host.json.

In all other cases, a person decides with the command `thumblab db take-over`. The command refuses if the heartbeat of
the other host continues. A host may be paused while this command runs. When the paused host runs again, host.json names
the new host. The watcher of the paused host then kills its server, see `watcher.py`.

This module imports few packages, because `watcher.py` imports this module and must need little memory.
"""

import errno
import fcntl
import json
import os
import platform
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from thumblab_core.durable_files import NO_LINKS, sync
from thumblab_core.errors import LabError
from thumblab_core.heartbeat import SILENT_SECONDS, beat, beats

_RECORD, _LOCK, _HEARTBEAT = "host.json", "server.lock", "heartbeat"


@dataclass(frozen=True)
class Host:
    """A host. Its name and its machine id survive a restart. Its boot id and its PID namespace decide which processes
    the host sees.
    """

    name: str
    machine: str
    boot: str
    namespace: str

    def shares_processes_with(self, other: "Host") -> bool:
        """Return whether this host sees the same processes as the host `other`.

        Two hosts see the same processes if their boot ids and their PID namespaces are equal. On a system without boot
        ids, such as macOS, the names and machine ids of the hosts are compared instead.
        """
        if self.boot or other.boot:
            return (self.boot, self.namespace) == (other.boot, other.namespace)
        return (self.name, self.machine) == (other.name, other.machine)

    def is_machine_of(self, other: "Host") -> bool:
        """Return whether this host and `other` are certainly the same machine or container, before or after a restart.

        Equal names are not enough, because containers on two machines may have the same name and no machine id.
        """
        return bool(self.machine) and (self.name, self.machine) == (other.name, other.machine)


def this_host() -> Host:
    """Return the host of this process. A field is empty if the system does not provide it."""
    try:
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        namespace = ""
    return Host(platform.node(), _line("/etc/machine-id"), _line("/proc/sys/kernel/random/boot_id"), namespace)


def other_holder(home: Path) -> Host | None:
    """Return another host that may have a server running in `home`, or None if this host may use the cluster."""
    recorded, this = _read(home), this_host()
    if recorded is None or this.shares_processes_with(recorded):
        return None
    # The record is out of date if no process of the server is alive. This host can see that only in two cases: the
    # record was written on the same kernel, or on this machine before a restart.
    if not server_lives(home) and (recorded.boot == this.boot != "" or this.is_machine_of(recorded)):
        return None
    return recorded


def refuse_other(home: Path) -> None:
    """Raise LabError if the cluster belongs to another host."""
    holder = other_holder(home)
    if holder is not None:
        raise LabError(
            f"The database in {home} is in use by {described(holder)}, and a data folder belongs to one host at a time. "
            "Stop the lab there. If nothing runs there any more, run here: thumblab db take-over (it watches the "
            f"folder for {SILENT_SECONDS:.0f} s, and refuses if the heartbeat of the other host goes on)"
        )


def claim(home: Path) -> None:
    """Record that this host runs the server. The caller holds start.lock. Raises LabError if another host runs the
    server.
    """
    refuse_other(home)
    # The name is random and does not use the process id, because two containers may have the same process id.
    temporary = home / f"host.{os.urandom(6).hex()}.new"
    try:
        descriptor = open_file(home, temporary.name)
        try:
            os.truncate(descriptor, 0)
            os.write(descriptor, json.dumps(asdict(this_host())).encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if _read(home) is None:
            with suppress(FileExistsError):
                _put_first(temporary, home / _RECORD)
            refuse_other(home)
        else:
            temporary.replace(home / _RECORD)
    finally:
        temporary.unlink(missing_ok=True)
    sync(home)


def _put_first(temporary: Path, record: Path) -> None:
    """Move the file `temporary` to the path `record`. Raises FileExistsError if `record` exists already.

    Hosts that share no locks may do this at the same time. The first host then succeeds, and the other hosts get
    FileExistsError.
    """
    try:
        record.hardlink_to(temporary)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        # Without hard links, the record is empty for a moment. To other hosts, an empty record means that an unknown
        # host runs the server, so these hosts do not use the cluster.
        os.close(os.open(record, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        temporary.replace(record)


def remove_record(home: Path) -> None:
    """Remove the record of the host that ran the server. Call this only after the server has ended."""
    remove(home / _RECORD)


def take_over(home: Path) -> Host | None:
    """Let this host use the cluster of another host. Call this only after a person has said that the other host's
    server has ended.

    Return the other host, or None if the cluster belonged to no other host. If there is another host, this function
    first watches its heartbeat for `SILENT_SECONDS`. Raises LabError if the heartbeat continues, if a process of the
    server is alive, or if a third host takes the cluster in the meantime.
    """
    holder = other_holder(home)
    if holder is None:
        return None
    if server_lives(home) or beats(home / _HEARTBEAT, SILENT_SECONDS):
        raise LabError(f"The server in {home} still runs, on {described(holder)}. Stop the lab there.")
    _remove_record_of(holder, home)
    return holder


def show_life(home: Path) -> bool:
    """Write a beat of the heartbeat if this host runs the server of the cluster.

    Return False if host.json names another host. If this host still has a server, the caller must then end this server
    immediately.
    """
    recorded = _read(home)
    if recorded is not None and this_host().shares_processes_with(recorded):
        os.close(open_file(home, _HEARTBEAT))  # A new file must belong to the owner of `home`.
        beat(home / _HEARTBEAT)
        return True
    return other_holder(home) is None


def _remove_record_of(holder: Host, home: Path) -> None:
    """Remove the record of the host `holder`. Raises LabError if the record now belongs to a third host.

    The record is moved away before it is compared, so that this function never removes a record that it did not read.
    """
    aside = home / f"host.{os.urandom(6).hex()}.old"
    try:
        (home / _RECORD).rename(aside)
    except FileNotFoundError:
        return
    if _read_file(aside) == holder:
        aside.unlink()
        return
    with suppress(FileExistsError):
        _put_first(aside, home / _RECORD)
    aside.unlink(missing_ok=True)
    refuse_other(home)


def server_lives(home: Path) -> bool:
    """Return whether a process of a server in `home` is alive, in any PID namespace of this kernel."""
    descriptor = open_file(home, _LOCK)
    try:
        # A shared lock is enough for this check. If two processes checked with exclusive locks at the same time, one
        # process would see the lock of the other process, and conclude that the server is alive.
        return not try_lock(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def server_lock(home: Path) -> AbstractContextManager[int]:
    """Yield a locked descriptor of server.lock. A server that inherits the descriptor holds the lock as long as the
    server is alive.
    """
    return locked(home, _LOCK)


def described(host: Host) -> str:
    """Return a description of the host for a message: its name, and whether it is on this machine."""
    where = " (a container or another PID namespace of this machine)" if host.boot == this_host().boot != "" else ""
    return f"host {host.name or 'without a name'}{where}"


def open_file(home: Path, name: str) -> int:
    """Return a descriptor of `home/name`. A missing file is made, and belongs to the owner of `home`.

    A symbolic link is refused. The reason is that root opens files in the folders of ordinary users. With a symbolic
    link, an ordinary user could make root write to any file.
    """
    try:
        descriptor = os.open(home / name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        # The disk has become read-only. The watcher still needs the locks so that it can stop the server. While the
        # server runs, nobody can mount the disk again.
        try:
            return os.open(home / name, os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            raise error from None
    if os.geteuid() == 0 and os.fstat(descriptor).st_uid == 0:
        owner = home.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
    return descriptor


def remove(file: Path) -> None:
    """Remove a file. If its file system is read-only, the file stays."""
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        if error.errno != errno.EROFS:
            raise


def is_read_only(home: Path) -> bool:
    """Return whether the file system of `home` is read-only, for example after an error of the disk."""
    try:
        os.close(os.open(home / "start.lock", os.O_RDWR | os.O_NOFOLLOW))
    except OSError as error:
        return error.errno == errno.EROFS
    return False


@contextmanager
def locked(home: Path, name: str) -> Iterator[int]:
    """Wait for the lock on the file `home/name`, and hold it exclusively in the `with` block."""
    descriptor = open_file(home, name)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def try_lock(descriptor: int, mode: int = fcntl.LOCK_EX) -> bool:
    """Try to lock the file, without waiting. Return whether this process has the lock now."""
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(home: Path) -> Host | None:
    return _read_file(home / _RECORD)


def _read_file(record: Path) -> Host | None:
    try:
        return Host(**json.loads(record.read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        return Host(f"unknown ({_RECORD} cannot be read)", "", "", "")


def _line(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
