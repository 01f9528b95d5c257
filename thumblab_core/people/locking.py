"""Let one transaction at a time change the tables of people."""

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError, OperationalError

from thumblab_core.database.lock_numbers import PEOPLE
from thumblab_core.people.errors import BUSY, FaceConflictError, PeopleBusyError

P = ParamSpec("P")
T = TypeVar("T")

_LOCK_NOT_AVAILABLE = "55P03"


def lock_people(connection: Connection) -> None:
    """Wait until no other transaction changes the tables of people. The lock ends with the transaction.

    A transaction that also locks rows of `thumbnails`, `thumbnail_versions` or `videos` must lock these rows before it
    calls this function. If two transactions took these locks in a different order, they could wait for each other for
    ever.
    """
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": PEOPLE})


def lock_people_within(connection: Connection, seconds: float) -> None:
    """Do the same as `lock_people`, but raise `PeopleBusyError` after `seconds`. The caller must then roll back."""
    connection.execute(text(f"SET LOCAL lock_timeout = {round(seconds * 1000)}"))
    try:
        lock_people(connection)
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
            raise
        raise PeopleBusyError(BUSY) from None
    connection.execute(text("SET LOCAL lock_timeout = DEFAULT"))


def changes_people(operation: Callable[Concatenate[Connection, P], T]) -> Callable[Concatenate[Connection, P], T]:
    """Decorate a function, so that it calls `lock_people` first, and raises `FaceConflictError` if the database refuses
    a row.

    The tables refuse, for example, two faces of one picture in one cluster. The driver's error contains the statement
    with its values, so it must not be shown to users. After `FaceConflictError`, the caller must roll the transaction
    back.
    """

    @functools.wraps(operation)
    def locked(connection: Connection, /, *arguments: P.args, **named: P.kwargs) -> T:
        lock_people(connection)
        try:
            return operation(connection, *arguments, **named)
        except IntegrityError as error:
            rule = getattr(getattr(error.orig, "diag", None), "constraint_name", None) or type(error.orig).__name__
            raise FaceConflictError(
                f"this contradicts what the lab has stored ({rule}), so nothing was changed; look at the clusters again "
                "before you repeat the change"
            ) from None

    return locked
