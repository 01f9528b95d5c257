"""Tests of how sensors and assets open the lab, and of the runs that the sensor `index_rebuilds` requests.

A tick is one evaluation of a sensor. A tick must be cheap, because it happens every 15 s.
"""

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

from thumblab_core.settings import CHECKOUT, Settings, settings
from thumblab_pipelines.definitions import defs
from thumblab_pipelines.defs import resources
from thumblab_pipelines.defs.library.rebuild import index_rebuilds
from thumblab_pipelines.defs.resources import LabResource, MlflowResource
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.library.rebuild_requests import request_rebuild


@contextmanager
def connections() -> Iterator[list[object]]:
    """Yield a list of the database connections that this process opens inside the `with` block."""
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
        """Evaluate the sensor as the code server does, with a new instance and new resources."""
        with dg.DagsterInstance.get() as instance:
            instance.get_runs(limit=1)
            done = get_external_sensor_execution(
                repository,
                None,  # type: ignore[arg-type]  # Dagster needs the origin of the code only for messages.
                instance.get_ref(),
                "index_rebuilds",
                None,
                None,
                None,
                None,
                None,
            )
        assert isinstance(done, SensorExecutionData)
        assert done.skip_message == "no rebuild was requested"

    with connections() as first:
        tick()
    with connections() as later:
        tick()
        tick()
    assert (len(first) > 0, len(later)) == (True, 0)


def test_a_process_opens_the_lab_of_its_new_settings(
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


def test_a_lab_resource_with_a_data_folder_opens_the_lab_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Settings] = []
    monkeypatch.setenv("THUMBLAB_DATABASE_URL", "postgresql://of-the-settings")
    settings.cache_clear()
    monkeypatch.setattr(resources, "database_url", lambda chosen: "url")
    monkeypatch.setattr(resources, "_opened", lambda chosen, url: opened.append(chosen))
    LabResource(data_dir=str(tmp_path / "other")).open()
    LabResource().open()
    assert [chosen.data_dir for chosen in opened] == [tmp_path / "other", settings().data_dir]
    assert [chosen.database_url is None for chosen in opened] == [True, False]


def test_assets_that_run_in_this_process_get_its_settings_and_report_to_its_listener(tmp_path: Path) -> None:
    """Check that a resource from `LabResource.in_this_process` keeps its settings and its listener during a run.

    Settings and listener are private attributes. Dagster copies other configurable resources before a run, and the
    copies lack private attributes.
    """
    reports: list[tuple[str, int, int]] = []

    @dg.op
    def step(context: dg.OpExecutionContext, lab: LabResource) -> str:
        lab.progress(context)("encoding", 1, 2)
        assert lab._settings is not None
        return str(lab._settings.data_dir)

    @dg.job
    def job() -> None:
        step()

    chosen = Settings(data_dir=tmp_path)
    resource = LabResource.in_this_process(chosen, lambda *report: reports.append(report))
    assert job.execute_in_process(resources={"lab": resource}).output_for_node("step") == str(tmp_path)
    assert reports == [("encoding", 1, 2)]


def test_a_run_closes_its_idle_connections_at_its_end_and_a_relative_data_folder_is_refused(
    migrated_database: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THUMBLAB_DATABASE_URL", migrated_database())
    monkeypatch.setenv("THUMBLAB_DATA_DIR", str(tmp_path))
    settings.cache_clear()
    pooled = []

    @dg.op
    def step(lab: LabResource) -> None:
        with lab.open().engine.connect() as connection:
            connection.execute(text("SELECT 1"))
        pooled.append(lab.open().engine.pool)
        assert pooled[0].checkedin() == 1

    @dg.job
    def job() -> None:
        step()

    assert job.execute_in_process(resources={"lab": LabResource()}).success
    assert pooled[0].checkedin() == 0
    assert LabResource().open().engine.pool is not pooled[0]
    with pytest.raises(dg.DagsterResourceFunctionError) as refused:
        job.execute_in_process(resources={"lab": LabResource(data_dir="lab")})
    assert "data_dir is 'lab'; give the whole path" in str(refused.value.__cause__)


def test_a_sensor_whose_lab_cannot_be_opened_skips_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THUMBLAB_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    monkeypatch.setenv("THUMBLAB_DATA_DIR", str(tmp_path))
    settings.cache_clear()
    repository = defs().get_repository_def()
    for name in ("index_rebuilds", "champion_moved", "niches"):
        context = dg.build_sensor_context(
            repository_def=repository, resources={"lab": LabResource(), "mlflow": MlflowResource()}
        )
        with context:
            skipped = repository.get_sensor_def(name).evaluate_tick(context).skip_message
        assert skipped is not None
        assert "The database does not answer" in skipped


def asked(instance: dg.DagsterInstance) -> list[str | None]:
    """Evaluate the sensor once, and return the niches of the runs that it requests."""
    with dg.build_sensor_context(instance, resources={"lab": LabResource()}) as context:
        return [done.partition_key for done in index_rebuilds(context) if isinstance(done, dg.RunRequest)]


def test_while_a_rebuild_waits_or_works_no_further_rebuild_of_its_niche_is_started(
    instance: dg.DagsterInstance,
) -> None:
    lab = Lab.open()
    request_rebuild(lab, "tech", "the index cannot take a video")
    assert asked(instance) == ["tech"]
    working = dg.DagsterRun("rebuild_index", status=dg.DagsterRunStatus.STARTED, tags={"dagster/partition": "tech"})
    run = instance.add_run(working)
    assert asked(instance) == []
    request_rebuild(lab, "news", "the index cannot take a video")
    assert asked(instance) == ["news"]
    instance.report_run_failed(run)
    assert asked(instance) == ["news", "tech"]
    instance.delete_run(run.run_id)
