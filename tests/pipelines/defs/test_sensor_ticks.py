"""Promises of what a tick of a sensor costs: there are eight a minute, day and night, in one process."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.sensor_definition import SensorExecutionData
from dagster._grpc.impl import get_external_sensor_execution
from sqlalchemy import event, text
from sqlalchemy.pool import Pool

from thumblab_core.settings import CHECKOUT, settings
from thumblab_pipelines.definitions import defs
from thumblab_pipelines.defs.resources import LabResource


@contextmanager
def connections() -> Iterator[list[object]]:
    """Those to any database that this process opens meanwhile."""
    opened: list[object] = []

    def note(connection: object, _: object) -> None:
        opened.append(connection)

    event.listen(Pool, "connect", note)
    yield opened
    event.remove(Pool, "connect", note)


def test_only_the_first_tick_of_a_process_opens_the_lab_and_dagsters_storage(
    migrated_database: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THUMBLAB_DATABASE_URL", migrated_database())
    monkeypatch.setenv("THUMBLAB_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    settings.cache_clear()
    shutil.copy(CHECKOUT / "dagster.yaml", tmp_path)
    repository = defs().get_repository_def()

    def tick() -> None:
        """As the code server evaluates it, with an instance and resources of its own."""
        with dg.DagsterInstance.get() as instance:
            instance.get_runs(limit=1)
            done = get_external_sensor_execution(
                repository,
                None,  # type: ignore[arg-type]  # where its code is: only for messages
                instance.get_ref(),
                "index_rebuilds",
                None,
                None,
                None,
                None,
                None,
            )
        assert isinstance(done, SensorExecutionData)
        assert done.skip_message == "nobody asked for a rebuild"

    with connections() as first:
        tick()
    with connections() as later:
        tick()
        tick()
    assert (len(first) > 0, len(later)) == (True, 0)


def test_a_process_whose_settings_change_opens_the_lab_of_the_new_ones(
    migrated_database: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = []
    for number in (1, 2):
        monkeypatch.setenv("THUMBLAB_DATABASE_URL", migrated_database())
        monkeypatch.setenv("THUMBLAB_DATA_DIR", str(tmp_path / str(number)))
        settings.cache_clear()
        lab = LabResource().open()
        assert lab.settings.data_dir == tmp_path / str(number)
        with lab.engine.connect() as connection:
            names.append(connection.scalar(text("SELECT current_database()")))
        lab.engine.dispose()
    assert names[0] != names[1]
