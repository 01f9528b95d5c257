"""Every connection of the lab to its database: one that a transaction pooler may stand before, with `vector` found anywhere.

A pooler gives each transaction another connection of its own. So nothing of the lab outlives a transaction there: no
prepared statement, no setting, no temporary table, and no advisory lock but those that end with one. The one exception is
`maintenance_work_mem` in `nearest_index.py`: an index made concurrently stands in no transaction. It is reset afterwards.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError

from thumblab_core.errors import LabError

HELD = "SET LOCAL idle_in_transaction_session_timeout = 0"
"""For a transaction that holds an advisory lock while its work is done elsewhere."""

_WHERE = """
SELECT pg_backend_pid(), (
  SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
  WHERE e.extname = 'vector' AND n.nspname <> ALL (current_schemas(true))
)
"""
_ADD = """
SELECT set_config('search_path', concat_ws(', ', nullif(current_setting('search_path'), ''), quote_ident(%s)), true)
"""


def make_engine(url: str | URL, **options: Any) -> Engine:
    """An engine as SQLAlchemy's `create_engine` makes it, for psycopg."""
    engine = create_engine(url, **options)
    aside: list[str | None] = [None]
    """The schema of `vector`, where the role does not look into it by itself."""

    @event.listens_for(engine, "connect")
    def look_around(connection: psycopg.Connection, _: Any) -> None:
        process, aside[0] = connection.execute(_WHERE).fetchone() or (None, None)
        connection.rollback()
        if (
            process != connection.info.backend_pid
        ):  # what answers is not what was connected to: there is a pooler between
            connection.prepare_threshold = None

    @event.listens_for(engine, "begin")
    def look_aside(connection: Connection) -> None:
        if aside[0]:
            cursor = connection.connection.cursor()
            cursor.execute(_ADD, (aside[0],))
            cursor.close()

    return engine


@contextmanager
def explained() -> Iterator[None]:
    """A database that cannot be reached, or does not let the lab do what it must, as a `LabError`."""
    try:
        yield
    except DBAPIError as error:
        if type(error.orig).__name__ == "InsufficientPrivilege":
            raise LabError(
                f"The database does not let the lab do what it must ({reason_of(error)}). Have its administrator give "
                "the role of THUMBLAB_DATABASE_URL the right"
            ) from None
        if getattr(error.orig, "sqlstate", None) is None or error.connection_invalidated:
            raise LabError(f"The database does not answer: {reason_of(error)}. {ADVICE}") from None
        raise


ADVICE = "Check THUMBLAB_DATABASE_URL, and that its server runs"


def reason_of(error: DBAPIError) -> str:
    """The server's or the driver's own words; neither tells a password."""
    said = getattr(getattr(error.orig, "diag", None), "message_primary", None) or str(error.orig).strip()
    return (said or "no reason given").splitlines()[0]
