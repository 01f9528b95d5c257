"""The lab's connections to its database. They work through a transaction pooler, and find `vector` in any schema.

A pooler may run each transaction on another server connection. So the lab keeps nothing beyond a transaction: no prepared
statement, no setting, no temporary table, and only advisory locks that end with the transaction. The one exception is
`maintenance_work_mem` in `nearest_index.py`, because an index cannot be created concurrently inside a transaction. It is
reset afterwards.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError

from thumblab_core.errors import LabError

NO_IDLE_TIMEOUT = "SET LOCAL idle_in_transaction_session_timeout = 0"
"""Run this in a transaction that only holds an advisory lock while the work is done on other connections."""

_BACKEND_AND_VECTOR_SCHEMA = """
SELECT pg_backend_pid(), (
  SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
  WHERE e.extname = 'vector' AND n.nspname <> ALL (current_schemas(true))
)
"""
_ADD_TO_SEARCH_PATH = """
SELECT set_config('search_path', concat_ws(', ', nullif(current_setting('search_path'), ''), quote_ident(%s)), true)
"""


def make_engine(url: str | URL, **options: Any) -> Engine:
    """Return an engine for psycopg, as SQLAlchemy's `create_engine` does with these options."""
    engine = create_engine(url, **options)
    vector_schema: list[str | None] = [None]
    """The schema of the extension `vector`, where it is not on the role's search path."""

    @event.listens_for(engine, "connect")
    def inspect_connection(connection: psycopg.Connection, _: Any) -> None:
        backend, vector_schema[0] = connection.execute(_BACKEND_AND_VECTOR_SCHEMA).fetchone() or (None, None)
        connection.rollback()
        if backend != connection.info.backend_pid:  # another process answers than the one connected to: a pooler
            connection.prepare_threshold = None

    @event.listens_for(engine, "begin")
    def extend_search_path(connection: Connection) -> None:
        if vector_schema[0]:
            cursor = connection.connection.cursor()
            cursor.execute(_ADD_TO_SEARCH_PATH, (vector_schema[0],))
            cursor.close()

    return engine


@contextmanager
def explained() -> Iterator[None]:
    """Raise a LabError where the database cannot be reached, or refuses the lab a right that it needs."""
    try:
        yield
    except DBAPIError as error:
        if type(error.orig).__name__ == "InsufficientPrivilege":
            raise LabError(
                f"The database refuses the lab a right that it needs ({reason_of(error)}). Have its administrator grant it "
                "to the role of THUMBLAB_DATABASE_URL"
            ) from None
        if getattr(error.orig, "sqlstate", None) is None or error.connection_invalidated:
            raise LabError(f"The database does not answer: {reason_of(error)}. {ADVICE}") from None
        raise


ADVICE = "Check THUMBLAB_DATABASE_URL, and that its server runs"


def reason_of(error: DBAPIError) -> str:
    """Return the first line of the server's or the driver's message; neither contains a password."""
    message = getattr(getattr(error.orig, "diag", None), "message_primary", None) or str(error.orig).strip()
    return (message or "no reason given").splitlines()[0]
