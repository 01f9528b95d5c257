"""Keep the connections of Dagster's storage open, share them within the process, and test each connection before
use."""

from functools import cache
from typing import Any

from dagster_postgres.utils import set_pg_statement_timeout
from sqlalchemy import Engine, create_engine, event


class KeptConnections:
    """A storage of Dagster in PostgreSQL that uses the shared engine of the process, see `engine_of`.

    Dagster's own storages open a connection for each event. In the webserver, each of these storages keeps one
    connection without testing it. After a restart of the database, the first request would then fail. A failed first
    request could also leave a run that was stored but never launched.
    """

    postgres_url: str
    _engine: Engine

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(url, should_autocreate_tables=False, **options)  # type: ignore[call-arg]  # Dagster's part
        self._engine = engine_of(url)

    def optimize_for_webserver(self, statement_timeout: int, pool_recycle: int, max_overflow: int) -> None:
        """Limit each statement to `statement_timeout` milliseconds. The webserver calls this method once at its start.

        `pool_recycle` (seconds) and `max_overflow` (connections) have the meaning that SQLAlchemy gives them.
        """
        self._engine = engine_of(self.postgres_url, statement_timeout, pool_recycle, max_overflow)


@cache
def engine_of(url: str, statement_timeout: int | None = None, pool_recycle: int = -1, max_overflow: int = -1) -> Engine:
    """Return an engine that keeps three connections open: for the runs, the events and the schedules.

    If more than three threads need a connection at once, the engine opens extra connections and closes them after use.
    The engine tests a connection before use, and replaces it if a restart of the server has closed it.
    """
    engine = create_engine(
        url,
        isolation_level="AUTOCOMMIT",
        pool_size=3,
        max_overflow=max_overflow,
        pool_recycle=pool_recycle,
        pool_pre_ping=True,
    )
    if statement_timeout is not None:
        event.listen(engine, "connect", lambda connection, _: set_pg_statement_timeout(connection, statement_timeout))
    return engine
