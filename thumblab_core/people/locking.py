"""Let one transaction at a time change the tables of people."""

from sqlalchemy import Connection, text

_LOCK = 7_204_118  # No other program uses this number for an advisory lock in this database.


def lock_people(connection: Connection) -> None:
    """Wait until no other transaction changes the tables of people. The lock ends with the transaction.

    A transaction that also locks rows of `thumbnails`, `thumbnail_versions` or `videos` must lock them first. If two
    transactions took these locks in a different order, they could wait for each other for ever.
    """
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
