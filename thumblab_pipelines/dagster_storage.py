"""Dagster's own storage, in the lab's PostgreSQL.

`dagster.yaml` cannot name the embedded server's URL, which is known only once it runs, and an unset environment variable
there stops every command on a fresh clone. So the URL is asked for when the instance is opened.
"""

from typing import Any, Self

from dagster import Field
from dagster._serdes import ConfigurableClassData
from dagster_postgres.storage import DagsterPostgresStorage

from thumblab_core.database.server import named_database_url


class LabStorage(DagsterPostgresStorage):  # type: ignore[misc]
    """Runs, events and schedules in the database `dagster` beside the lab's own."""

    @classmethod
    def config_type(cls) -> dict[str, Field]:
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> Self:
        return cls(postgres_url=named_database_url("dagster", "psycopg2"), inst_data=inst_data)
