"""Dagster's own storage, in the lab's PostgreSQL.

`dagster.yaml` cannot name the embedded server's URL, which is known only once it runs, and an unset environment variable
there stops every command on a fresh clone. So the URL is asked for when the instance is opened.
"""

from datetime import datetime
from functools import cache
from typing import Any, Self

from dagster import DagsterEvent, DagsterEventType, Field
from dagster._serdes import ConfigurableClassData
from dagster_postgres.run_storage import PostgresRunStorage
from dagster_postgres.storage import DagsterPostgresStorage
from sqlalchemy import Engine, create_engine

from thumblab_core.database.server import named_database_url
from thumblab_pipelines import run_locks

_ENDS = (DagsterEventType.RUN_SUCCESS, DagsterEventType.RUN_FAILURE, DagsterEventType.RUN_CANCELED)


class LabRunStorage(PostgresRunStorage):  # type: ignore[misc]
    """Runs, each locked by the process that executes it: before it is "started", until it has ended.

    Every way to execute a run comes through here in that very process, also those that Dagster's launcher knows nothing of.
    """

    def handle_run_event(self, run_id: str, event: DagsterEvent, update_timestamp: datetime | None = None) -> None:
        if event.event_type == DagsterEventType.RUN_START:
            run_locks.hold(run_id)
        super().handle_run_event(run_id, event, update_timestamp)
        if event.event_type in _ENDS:
            run_locks.let_go(run_id)


class LabStorage(DagsterPostgresStorage):  # type: ignore[misc]
    """Runs, events and schedules in the database `dagster` beside the lab's own, each over a connection that is kept.

    Dagster itself connects anew for every event: some 2,000 times in a demo, which took a third of its time. It also opens
    its instance anew for every tick of a sensor: the connections and the look for missing tables are the process's.
    """

    def __init__(self, url: str, inst_data: ConfigurableClassData | None = None) -> None:
        _make_tables(url)
        super().__init__(url, should_autocreate_tables=False, inst_data=inst_data)
        self._run_storage = LabRunStorage(url, should_autocreate_tables=False)
        for part in (self._run_storage, self._event_log_storage, self._schedule_storage):
            part._engine = _engine(url)

    @classmethod
    def config_type(cls) -> dict[str, Field]:
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> Self:
        return cls(named_database_url("dagster", "psycopg2"), inst_data)


@cache
def _make_tables(url: str) -> None:
    DagsterPostgresStorage(url)


@cache
def _engine(url: str) -> Engine:
    """One connection for each of the three is kept, as many more as threads want are opened and closed, and one that a
    restart cut is found in time."""
    return create_engine(url, isolation_level="AUTOCOMMIT", pool_size=3, max_overflow=-1, pool_pre_ping=True)
