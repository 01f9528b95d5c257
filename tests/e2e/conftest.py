"""Fixtures with one real lab, which `thumblab up --demo` runs for the whole test session."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from curl_requests import CURL, curl, post
from logged_models import connected_tracker, log_release
from real_processes import REPOSITORY, RunningLab, new_folder, niche_of, running, wait_until

from thumblab_core.niches import NICHES
from thumblab_core.releases.release import ALL, INDEX, MODEL, Release
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_pipelines.models.tracking import Tracked, Tracker


@pytest.fixture(scope="session")
def lab() -> Iterator[RunningLab]:
    """A running `thumblab up --demo`, in which no job has run yet."""
    with new_folder() as folder, running(folder, "--demo") as up:
        yield RunningLab(up, folder / "demo")


@pytest.fixture(scope="session")
def schedules(lab: RunningLab) -> list[dict[str, Any]]:
    """The schedules as Dagster lists them after the start of the lab.

    After the list was read, the fixture stops all schedules, so that no schedule starts a run during the tests.
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


@dataclass(frozen=True)
class OverHttp:
    """The answers to two requests for a refresh over HTTP, while the runs of a backfill wait in Dagster's queue.

    `started` answers the request for `niches`, which does not wait for the runs. At that time, the backfill's run of
    the first of these niches had begun, and its run of the second niche was the last run in the queue. `done` answers
    the request for all niches, which waits for the runs. Each answer comes with its HTTP status. `served` has, by
    niche, the releases that were served after both requests.
    """

    niches: list[str]
    started: tuple[int, dict[str, Any]]
    done: tuple[int, dict[str, Any]]
    served: dict[str, Release | None]

    @property
    def new_runs(self) -> set[str]:
        """The ids of the runs that the two requests started.

        A request may also reuse a waiting run of the backfill. Reused runs are left out.
        """
        return {run["run_id"] for _, answer in (self.started, self.done) for run in answer["runs"] if not run["reused"]}


def runs_of_backfill(lab: RunningLab, backfill_id: str) -> dict[str, Any]:
    """Return the state of a backfill and of its runs.

    If a run has failed, fail the test and show the errors of the run.
    """
    query = """query($id: String!) { partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill {
        status error { message } runs { runId status tags { key value } } } } }"""
    backfill: dict[str, Any] = lab.graphql(query, id=backfill_id)["partitionBackfillOrError"]
    assert backfill["error"] is None, backfill["error"]
    failed = [run["runId"] for run in backfill["runs"] if run["status"] in ("FAILURE", "CANCELED")]
    assert not failed, "\n".join(lab.failure(run_id) for run_id in failed)
    return backfill


@pytest.fixture(scope="session")
def backfill(lab: RunningLab, schedules: list[dict[str, Any]], before_any_release: httpx.Response) -> str:
    """The id of a backfill of `refresh_library` over every niche, whose first run has begun."""
    launched = lab.graphql(
        """mutation($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
            __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message stack } } }""",
        params={
            "selector": {"partitionSetName": "refresh_library_partition_set", "repositorySelector": REPOSITORY},
            "partitionNames": list(NICHES),
        },
    )["launchPartitionBackfill"]
    assert launched["__typename"] == "LaunchBackfillSuccess", launched
    backfill_id: str = launched["backfillId"]

    def begun() -> bool:
        runs = runs_of_backfill(lab, backfill_id)["runs"]
        return len(runs) == len(NICHES) and any(run["status"] == "STARTED" for run in runs)

    wait_until(begun, 120, "the first run of the backfill begins")
    return backfill_id


@pytest.fixture(scope="session")
def over_http(lab: RunningLab, backfill: str) -> OverHttp | None:
    """The answers to the requests that were sent while the backfill ran, or None if `curl` is not installed."""
    if CURL is None:
        return None
    runs = {niche_of(run): run["status"] for run in runs_of_backfill(lab, backfill)["runs"]}
    begun = next(niche for niche in NICHES if runs[niche] == "STARTED")
    niches = [begun, next(niche for niche in reversed(NICHES) if runs[niche] == "QUEUED")]
    started = post(lab, "/internal/refresh-library", {"niches": niches})
    done = curl(lab, "curl -X POST 'http://localhost:8000/internal/refresh-library?wait=true'")
    store = ReleaseStore(lab.data_dir / "releases")
    return OverHttp(niches, started, done, {niche: store.serving.current(INDEX, niche) for niche in NICHES})


@pytest.fixture(scope="session")
def refreshed(lab: RunningLab, backfill: str, over_http: OverHttp | None) -> dict[str, Any]:
    """The finished backfill. The runs of `over_http` have finished too."""
    deadline = time.monotonic() + 600
    while True:
        state = runs_of_backfill(lab, backfill)
        # The loop waits until each run has succeeded. The loop does not wait for the status of the backfill, because
        # the daemon changes that status only half a minute after the last run has ended.
        if all(run["status"] == "SUCCESS" for run in state["runs"]):
            return state
        assert time.monotonic() < deadline, [run["status"] for run in state["runs"]]
        time.sleep(0.5)


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
    """The tracker that `connected_tracker` yields. After the test, its model and its runs are deleted from MLflow."""
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
