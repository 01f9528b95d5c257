"""Fixtures with one real lab, which `thumblab up --demo` runs for the whole test session."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from backfills import begin_backfill, end_of_backfill
from logged_models import connected_tracker, log_release
from real_processes import REPOSITORY, RunningLab, new_folder, running

from thumblab_core.releases.release import ALL, MODEL, Release
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_pipelines.models.tracking import Tracked, Tracker


@pytest.fixture(scope="session")
def lab() -> Iterator[RunningLab]:
    """The demo's lab, started by `thumblab up --demo`. No job has run in it yet."""
    with new_folder() as folder, running(folder, "--demo") as up:
        yield RunningLab(up, folder / "demo")


@pytest.fixture(scope="session")
def schedules(lab: RunningLab) -> list[dict[str, Any]]:
    """The schedules that Dagster lists after the start of the lab. After the fixture has read the list, it stops all
    schedules, so that no schedule starts a run during the tests.
    """
    listed = _schedules(lab)
    # In its first seconds, Dagster's daemon stores the states of all schedules. A schedule that is stopped in this time
    # may start again, or the daemon may log an error.
    time.sleep(10)
    deadline = time.monotonic() + 60
    while stopping := [schedule for schedule in _schedules(lab) if schedule["scheduleState"]["status"] != "STOPPED"]:
        assert time.monotonic() < deadline, stopping
        for schedule in stopping:
            lab.graphql("mutation($id: String!) { stopRunningSchedule(id: $id) { __typename } }", id=schedule["id"])
        time.sleep(3)
    return listed


def _schedules(lab: RunningLab) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = lab.graphql(
        """query($of: RepositorySelector!) { schedulesOrError(repositorySelector: $of) { ... on Schedules { results {
            id name cronSchedule executionTimezone pipelineName scheduleState { status } } } } }""",
        of=REPOSITORY,
    )["schedulesOrError"]["results"]
    return listed


@pytest.fixture(scope="session")
def before_any_release(lab: RunningLab, drawn: Callable[..., bytes]) -> httpx.Response:
    """The answer of the scoring service to a request that was sent before any release was served."""
    return lab.score("tech", {"a": drawn(1), "b": drawn(2)})


@pytest.fixture(scope="session")
def refreshed(lab: RunningLab, schedules: list[dict[str, Any]], before_any_release: httpx.Response) -> dict[str, Any]:
    """A finished backfill of `refresh_library` over all niches."""
    return end_of_backfill(lab, begin_backfill(lab))


@pytest.fixture(scope="session")
def trained(lab: RunningLab, refreshed: dict[str, Any]) -> str:
    """The id of a successful run of `train_ranker` after the backfill."""
    launched = lab.graphql(
        """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
            __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
            ... on RunConfigValidationInvalid { errors { message } } } }""",
        params={"selector": {**REPOSITORY, "jobName": "train_ranker"}, "runConfigData": {}, "mode": "default"},
    )["launchRun"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    run_id: str = launched["run"]["runId"]
    lab.wait_for_runs([run_id], 300)
    return run_id


@pytest.fixture
def store(lab: RunningLab, trained: str) -> ReleaseStore:
    return ReleaseStore(lab.data_dir / "releases")


@pytest.fixture
def release(store: ReleaseStore) -> Release:
    current = store.serving.current(MODEL, ALL)
    assert current is not None
    return current


@pytest.fixture
def tracker(lab: RunningLab) -> Iterator[Tracker]:
    """The tracker that `connected_tracker` yields. Its model and its runs are deleted from MLflow after the test."""
    with connected_tracker(lab) as tracker:
        yield tracker


@pytest.fixture
def client(tracker: Tracker) -> Any:
    import mlflow

    return mlflow.MlflowClient()


@pytest.fixture
def log(tracker: Tracker, store: ReleaseStore) -> Callable[..., Tracked]:
    """Return a function that logs a release with the fixture `tracker`."""
    return lambda release: log_release(tracker, release, store)
