"""Check that files can be made in the data folder, that its files belong to this user, and that secrets are private."""

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from thumblab_cli.doctor.examined import Examined
from thumblab_cli.doctor.finding import Finding, error, fine, skipped, warning

_PRIVATE = ("api-key", "api-keys.json")
"""Files of the data folder that hold keys or their hashes. Only the owner may read these files."""


def folder(examined: Examined) -> Iterator[Finding]:
    """Check the permissions of the data folder, of the files and folders directly in it, and of the release store."""
    data = examined.settings.data_dir
    if not data.exists():
        yield skipped(f"there is no lab in {data} yet; `thumblab up`, `thumblab import` and `thumblab demo` make one")
        return
    elsewhere = "set THUMBLAB_DATA_DIR to a folder that you can write"
    if not data.is_dir():
        yield error(f"{data} is not a folder", elsewhere)
        return
    faults = [*_unwritable(data, elsewhere), *_of_others(data), *_readable_secrets(data)]
    # An object store has no folder, and its cache is in the data folder.
    store = examined.settings.releases if examined.settings.release_store is None else data
    if store.is_dir() and not store.is_relative_to(data):
        faults += _unwritable(store, "set THUMBLAB_RELEASE_DIR to a folder that you can write")
    yield from faults
    if not faults:
        yield fine(f"the lab can write to {data}, and only this user can read the keys in it")


def _unwritable(place: Path, elsewhere: str) -> Iterator[Finding]:
    try:
        # Write a file as a test, because the permission bits do not show that a file system is read-only or full.
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(bytes(4_096))
            file.flush()
            os.fsync(file.fileno())
    except OSError as problem:
        mend = f"sudo chown -R {os.geteuid()} {place}"
        if problem.errno == errno.EROFS:
            mend = "mount its file system for writing (if nobody mounted it read-only, dmesg says why it is)"
        elif problem.errno in (errno.ENOSPC, errno.EDQUOT):
            mend = "make room on its file system"
        yield error(f"{place} cannot be written ({problem.strerror})", f"{mend}, or {elsewhere}")


def _of_others(data: Path) -> Iterator[Finding]:
    """Find files in the data folder that this user cannot write, for example because root ran the lab once."""
    if os.geteuid() == 0:
        return
    # Leave out the folder of the embedded database, which may belong to another user. `thumblab_core.embedded_postgres`
    # checks this folder.
    blocked = [path.name for path in sorted(data.iterdir()) if path.name != "postgres" and not os.access(path, os.W_OK)]
    if blocked:
        names = ", ".join(blocked[:5])
        yield error(f"{names} in {data} cannot be written by this user", f"sudo chown -R {os.geteuid()} {data}")


def _readable_secrets(data: Path) -> Iterator[Finding]:
    if data.stat().st_mode & stat.S_IWOTH and not data.stat().st_mode & stat.S_ISVTX:
        yield warning(f"every user of this machine can change {data}", f"chmod o-w {data}")
    for name in _PRIVATE:
        path = data / name
        if path.is_file() and path.stat().st_mode & 0o077:
            yield warning(
                f"other users of this machine can read {path}", f"chmod 600 {path}; thumblab key rotate default"
            )
