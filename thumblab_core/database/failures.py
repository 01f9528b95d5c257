"""Explain a failure of the disk or of the database in one sentence.

Examples are a full disk, a read-only folder, and a database that was restarted. The program itself has no error in
these cases. Finished work stays. If the user starts the same command or the same run again, it does only the rest of
the work.
"""

import errno
from collections.abc import Iterator

from thumblab_core.database.troubles import trouble_of
from thumblab_core.errors import LabError

_NO_ROOM = "No space left on device"
_AGAIN = "then run the same command or job again: it continues with what is missing"

_DISK = {
    errno.ENOSPC: f"no room is left on the disk; make room, {_AGAIN}",
    errno.EDQUOT: f"the quota of the disk is used up; make room, {_AGAIN}",
    errno.EROFS: f"its file system is read-only; mount it for writing, or set THUMBLAB_DATA_DIR, {_AGAIN}",
    errno.EACCES: f"this user may not write there; change the owner or the rights, {_AGAIN}",
    errno.EIO: f"the disk reports an error; check the disk, {_AGAIN}",
    errno.ESTALE: f"the network folder was lost; mount it again, {_AGAIN}",
}


class DiskError(LabError):
    """The error that the user gets if a file cannot be written. Its message says why, for example that the disk is
    full.
    """

    transient = True


def explained_failure(error: BaseException) -> LabError | None:
    """Return an error with an explanation for the user, if the disk or the database caused `error`. Otherwise return
    None.
    """
    for cause in _causes(error):
        if (trouble := trouble_of(cause)) is not None:
            return trouble
        if isinstance(cause, OSError) and cause.errno in _DISK and cause.filename is not None:
            return DiskError(f"{cause.filename} cannot be written: {_DISK[cause.errno]}")
        if (isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT)) or _NO_ROOM in str(cause):
            return DiskError(f"A file cannot be written: {_DISK[errno.ENOSPC]}")
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the error and the errors that caused it. An error of SQLAlchemy may wrap an error of the driver. The
    driver's error then comes first.
    """
    while error is not None:
        original = getattr(error, "orig", None)
        if isinstance(original, BaseException):
            yield original
        yield error
        error = error.__cause__ or error.__context__
