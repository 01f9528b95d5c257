"""Connect to the lab's database.

The connections also work in two special cases: through a transaction pooler, and with the extension `vector` in a
schema outside the role's search path.

A prepared statement, a setting, a temporary table and an advisory lock belong to one connection to the server. A
transaction pooler may run each transaction of a client on a different connection to the server. Therefore the lab
prepares no statements behind a pooler. Each setting, temporary table and advisory lock of the lab ends with the
transaction that made it. The one exception is the setting `maintenance_work_mem` in `nearest_index.py`. This setting is
set outside a transaction, because CREATE INDEX CONCURRENTLY cannot run inside a transaction. The setting is reset when
the index has been made.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError

from thumblab_core.database.troubles import trouble_of

NO_IDLE_TIMEOUT = "SET LOCAL idle_in_transaction_session_timeout = 0"
"""Run this statement in a transaction that holds a lock while other connections or hosts do the work.

Otherwise, the server may end the transaction because it is idle, and so release the lock too early.
"""

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
    """Return a SQLAlchemy engine for the database at `url`, which must name the driver psycopg.

    `options` are passed to SQLAlchemy's `create_engine`.
    """
    engine = create_engine(url, **options)
    vector_schema: list[str | None] = [None]
    """The schema of the extension `vector`, or None if the role's search path contains that schema."""

    @event.listens_for(engine, "connect")
    def inspect_connection(connection: psycopg.Connection, _: Any) -> None:
        backend, vector_schema[0] = connection.execute(_BACKEND_AND_VECTOR_SCHEMA).fetchone() or (None, None)
        connection.rollback()
        # Compare two ids of the server's process: the id that the server sent when the connection was made, and the id
        # of the process that answers now. If they differ, a pooler is between the lab and the server.
        if backend != connection.info.backend_pid:
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
    """Raise a LabError with one sentence if the `with` block cannot use the database."""
    try:
        yield
    except DBAPIError as error:
        trouble = trouble_of(error)
        if trouble is None:
            raise
        raise trouble from None
