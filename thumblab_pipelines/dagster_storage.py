"""Store Dagster's runs, events and schedules in the lab's PostgreSQL server.

`dagster.yaml` cannot contain the URL of the embedded PostgreSQL server, because this URL is known only while the server
runs. `dagster.yaml` could name an environment variable instead. But a fresh clone of the repository does not set this
variable, and every command would stop with an error. So the URL is computed when Dagster's instance is opened.
"""

import logging
from contextlib import suppress
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Self

from dagster import DagsterEvent, DagsterEventType, DagsterInstance, Field
from dagster._core.instance.ref import InstanceRef
from dagster._serdes import ConfigurableClassData
from dagster_postgres.event_log import PostgresEventLogStorage
from dagster_postgres.run_storage import PostgresRunStorage
from dagster_postgres.storage import DagsterPostgresStorage
from sqlalchemy.exc import DBAPIError

from thumblab_core.database.engine import explained
from thumblab_core.database.urls import named_database_url
from thumblab_core.settings import settings
from thumblab_pipelines.dagster_engine import KeptConnections
from thumblab_pipelines.pools import POOLS
from thumblab_pipelines.run_locks import RunLocks
from thumblab_pipelines.schedule_storage import LabScheduleStorage

_ENDS = (DagsterEventType.RUN_SUCCESS, DagsterEventType.RUN_FAILURE, DagsterEventType.RUN_CANCELED)


class LabRunStorage(KeptConnections, PostgresRunStorage):  # type: ignore[misc]
    """Storage of runs that also holds a lock for each run.

    A run is locked from the start to the end of the process that executes it. This process reports all events of the
    run to this class, which takes the lock at the first event and releases it at the last. So locking also works for
    runs that Dagster's launcher did not start.
    """

    def __init__(self, url: str, locks: RunLocks) -> None:
        super().__init__(url)
        self.locks = locks

    def handle_run_event(self, run_id: str, event: DagsterEvent, update_timestamp: datetime | None = None) -> None:
        if event.event_type == DagsterEventType.RUN_START:
            self.locks.hold(run_id)
        super().handle_run_event(run_id, event, update_timestamp)
        if event.event_type in _ENDS:
            self.locks.release(run_id)


class LabEventLogStorage(KeptConnections, PostgresEventLogStorage):  # type: ignore[misc]
    """Dagster's storage of events, which keeps its connections to the database open."""


class LabStorage(DagsterPostgresStorage):  # type: ignore[misc]
    """Storage of runs, events and schedules in the database `dagster` on the lab's server.

    Dagster's own storage opens a new connection for every event. `thumblab demo` records about 2,000 events, and
    opening the connections took about 33 % of the demo's time. So this class keeps its connections open. Dagster
    makes a new object of this class for every tick of a sensor. So all objects in a process share the connections, and
    missing tables are created only once per process.
    """

    def __init__(self, url: str, locks: RunLocks, inst_data: ConfigurableClassData | None = None) -> None:
        _log_lines_once()
        _make_tables(url)
        super().__init__(url, should_autocreate_tables=False, inst_data=inst_data)
        self._run_storage = LabRunStorage(url, locks)
        self._event_log_storage = LabEventLogStorage(url)
        self._schedule_storage = LabScheduleStorage(url)

    @classmethod
    def config_type(cls) -> dict[str, Field]:
        description = "The lab's data folder. If it is empty, the process's settings name the folder."
        return {"data_dir": Field(str, default_value="", is_required=False, description=description)}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> Self:
        data_dir, chosen = config_value["data_dir"], settings()
        # `in_folder` drops an external database from the settings. So it is called only if the lab is not in the
        # folder of the settings.
        if data_dir and Path(data_dir).resolve() != chosen.data_dir.resolve():
            chosen = chosen.in_folder(Path(data_dir))
        url = named_database_url("dagster", "psycopg2", chosen)
        return cls(url, RunLocks(chosen.data_dir), inst_data)


def open_instance(home: Path, data_dir: Path) -> DagsterInstance:
    """Return the Dagster instance of the lab in `data_dir`, with the `dagster.yaml` in `home`.

    This function does not call `DagsterInstance.get`, which takes no arguments. `DagsterInstance.get` would use the
    folder DAGSTER_HOME and the lab of this process's settings.
    """
    storage = {"module": __name__, "class": LabStorage.__name__, "config": {"data_dir": str(data_dir)}}
    return DagsterInstance.from_ref(InstanceRef.from_dir(str(home), overrides={"storage": {"custom": storage}}))


def run_locks_of(instance: DagsterInstance) -> RunLocks:
    """Return the run locks of an instance whose storage is `LabStorage`."""
    storage = instance.run_storage
    assert isinstance(storage, LabRunStorage), "dagster.yaml must name LabStorage as the storage"
    return storage.locks


def _log_lines_once() -> None:
    """Give the root logger a handler, if it has none. The handler writes warnings of all packages except Dagster.

    While the database is down, dagster-postgres calls `logging.warning`. If the root logger has no handler, this call
    adds a handler that writes the lines of all loggers. Dagster's loggers have handlers of their own, so each of their
    lines would then be logged twice.
    """
    root = logging.getLogger()
    if not root.handlers:
        handler = logging.StreamHandler()
        handler.setLevel(logging.WARNING)
        handler.addFilter(lambda record: record.name.partition(".")[0] != "dagster")
        root.addHandler(handler)


@cache
def _make_tables(url: str) -> None:
    """Make missing tables and pools. A pool limits how many steps run at once. If a pool exists, keep its limit, which
    a person may have set.

    Dagster makes a pool at its first use. If two runs made the same pool at the same moment, one run would fail.
    """
    with explained():
        events = DagsterPostgresStorage(url).event_log_storage
    for pool in set(POOLS) - events.get_concurrency_keys():
        with suppress(DBAPIError):  # Another process has made this pool in the meantime.
            events.set_concurrency_slots(pool, 1)
