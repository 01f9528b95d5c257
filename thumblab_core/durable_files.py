"""Write files durably, compute the age of a file, and recognise file systems without hard links."""

import errno
import os
import time
from contextlib import suppress
from pathlib import Path

NO_LINKS = {errno.EPERM, errno.EXDEV, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS}
"""The error numbers with which a file system refuses to make a hard link."""

NOT_WRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
"""The error numbers with which a disk refuses to store anything: it is full, a quota is used up, or it is read-only."""


def sync(path: Path) -> None:
    """Wait until the bytes of a file, or the names in a folder, would survive a power cut.

    To make a new file durable, sync the file first and then its folder. Raises `OSError` if `path` cannot be opened or
    written to the disk.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def age(path: Path) -> float:
    """Return the seconds since a file was last written. Raises `OSError` if there is no such file.

    If the clock was wrong when the file was written, its modification time may be in the future. Then the age is 0, and
    this function also tries to set the modification time to now. Otherwise, the age would stay 0 until the wrong time
    has passed.
    """
    seconds = time.time() - path.stat().st_mtime
    if seconds < 0:
        with suppress(PermissionError):
            os.utime(path)
    return max(0.0, seconds)


def replace_private_file(path: Path, text: str) -> None:
    """Replace a file completely or not at all. Only its owner may read the new file (mode 0600). See `replace_file`."""
    replace_file(path, text, 0o600)


def replace_file(path: Path, text: str, mode: int) -> None:
    """Replace a file completely or not at all. `mode`: the permissions of the new file, such as 0o644.

    If root writes the file, the file belongs to the owner of its folder. After the call, the content is safe on the
    disk, even if the power fails. Call this function inside a lock, because two processes must not replace the same
    `path` at the same time. Raises `OSError` if the file cannot be written.
    """
    aside = path.with_name(f".{path.name}.new")
    # A killed process may have left this temporary file, with an unknown mode. So the file is deleted and made again.
    aside.unlink(missing_ok=True)
    with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:  # noqa: PTH123 - the mode must be 0600 from the start
        give_to_owner(file.fileno(), path.parent)
        os.fchmod(file.fileno(), mode)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
    sync(path.parent)


def give_to_owner(handle: int, folder: Path) -> None:
    """If root made a file, give the file to the owner of its folder. `handle` is the open file.

    Without this change, the processes of the folder's owner could not use a file that a command with `sudo` made.
    """
    if os.geteuid() == 0:
        owner = folder.stat()
        with suppress(OSError):  # Some file systems store no owner, so an error is ignored.
            os.fchown(handle, owner.st_uid, owner.st_gid)
