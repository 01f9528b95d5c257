"""Dagster's own storage, in the lab's PostgreSQL.

`dagster.yaml` cannot name the embedded server's URL, which is known only once it runs, and an unset environment variable
there stops every command on a fresh clone. So the URL is asked for when the instance is opened.
"""

from typing import Any, Self

from dagster import Field
from dagster._serdes import ConfigurableClassData
from dagster_postgres.storage import DagsterPostgresStorage
from sqlalchemy import create_engine

from thumblab_core.database.server import named_database_url


class LabStorage(DagsterPostgresStorage):  # type: ignore[misc]
    """Runs, events and schedules in the database `dagster` beside the lab's own, each over a connection that is kept.

    Dagster itself connects anew for every event: some 2,000 times in a demo, which took a third of its time.
    """

    @classmethod
    def config_type(cls) -> dict[str, Field]:
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> Self:
        url = named_database_url("dagster", "psycopg2")
        storage = cls(postgres_url=url, inst_data=inst_data)
        for part in (storage._run_storage, storage._event_log_storage, storage._schedule_storage):
            # One is kept, as many more as threads want are opened and closed, and one that a restart cut is found in time.
            part._engine = create_engine(
                url, isolation_level="AUTOCOMMIT", pool_size=1, max_overflow=-1, pool_pre_ping=True
            )
        return storage
