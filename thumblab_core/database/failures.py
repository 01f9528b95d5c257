"""Explain failures of the disk and of the database in a sentence, wherever in the work they happened.

Such a failure is no fault of the program: a full disk, a read-only folder, a database that was restarted. Work that was
finished stays, and the same command or run continues it.
"""

import errno
from collections.abc import Iterator

from thumblab_core.database.troubles import trouble_of
from thumblab_core.errors import LabError

_NO_ROOM = "No space left on device"
_AGAIN = "then run the same again: it continues with what is missing"

_DISK = {
    errno.ENOSPC: f"no room is left on the disk; make room, {_AGAIN}",
    errno.EDQUOT: f"the quota of the disk is used up; make room, {_AGAIN}",
    errno.EROFS: f"its file system is read-only; mount it for writing, or set THUMBLAB_DATA_DIR, {_AGAIN}",
    errno.EACCES: f"this user may not write there; change the owner or the rights, {_AGAIN}",
    errno.EIO: f"the disk reports an error; check the disk, {_AGAIN}",
    errno.ESTALE: f"the network folder was lost; mount it again, {_AGAIN}",
}


class DiskError(LabError):
    """The error that is raised in place of an error of the disk."""

    transient = True


def explained_failure(error: BaseException) -> LabError | None:
    """Return an error with a sentence for the person, if the disk or the database caused `error`. Otherwise None."""
    for cause in _causes(error):
        if (trouble := trouble_of(cause)) is not None:
            return trouble
        if isinstance(cause, OSError) and cause.errno in _DISK and cause.filename is not None:
            return DiskError(f"{cause.filename} cannot be written: {_DISK[cause.errno]}")
        if (isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT)) or _NO_ROOM in str(cause):
            return DiskError(f"A file cannot be written: {_DISK[errno.ENOSPC]}")
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the error, what SQLAlchemy wraps in it, and the errors that caused it."""
    while error is not None:
        original = getattr(error, "orig", None)
        if isinstance(original, BaseException):
            yield original
        yield error
        error = error.__cause__ or error.__context__
