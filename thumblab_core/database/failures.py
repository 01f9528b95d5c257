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

_DATABASE = {
    "53100": f"The database has no room left on its disk. Make room, {_AGAIN}",
    "53200": f"The database server has no memory left. Give it more, {_AGAIN}",
    "53300": f"The database server has no connection left. End other programs that use it, {_AGAIN}",
    "25006": f"The database is read-only, as a standby is. Set THUMBLAB_DATABASE_URL to the server that writes, {_AGAIN}",
    "55P03": f"Another process has locked the database's tables for too long. Wait for it, {_AGAIN}",
}
"""A sentence for each SQLSTATE that a person can mend."""

_LOST = ("08", "57P")
"""The beginnings of the SQLSTATEs with which a server ends connections: it stops, crashes, or is starting."""


class DiskError(LabError):
    """The error that is raised in place of an error of the disk."""

    transient = True


class DatabaseError(LabError):
    """The error that is raised in place of an error of the database server."""

    transient = True


def explained_failure(error: BaseException) -> LabError | None:
    """Return an error with a sentence for the person, if the disk or the database caused `error`. Otherwise None."""
    for cause in _causes(error):
        sentence = _of_database(cause)
        if sentence is not None:
            return DatabaseError(sentence)
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


def _of_database(error: BaseException) -> str | None:
    """Return a sentence for an error of psycopg or psycopg2, or None if it is none, or not one of these failures."""
    if not type(error).__module__.startswith("psycopg"):
        return None
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    if state is None:
        lost = "OperationalError" in [kind.__name__ for kind in type(error).__mro__]
    else:
        lost = state.startswith(_LOST)
    if lost:
        return (
            f"The database ended the connection: it was stopped or restarted, or cannot be reached. Check it, {_AGAIN}"
        )
    return _DATABASE.get(state or "")
