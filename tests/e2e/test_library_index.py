"""Test changes to the library of a running lab.

Commands and Dagster jobs change which videos the index contains. After a change, the service must serve the changed
index.
"""

import time
from typing import Any

import httpx
import psycopg
import pytest
from real_processes import REPOSITORY, RunningLab, thumblab, url_from_outside

from thumblab_core.index import NicheIndex
from thumblab_core.releases.release import INDEX, Release
from thumblab_core.releases.release_store import ReleaseStore

NICHE = "beauty"


def served(lab: RunningLab) -> Release:
    release = ReleaseStore(lab.data_dir / "releases").serving.current(INDEX, NICHE)
    assert release is not None
    return release


def answered_with(lab: RunningLab) -> str:
    health = httpx.get(f"{lab.up.url('scoring')}/health", timeout=30, trust_env=False).json()
    release: str = health["indices"][NICHE]["release"]
    return release


def launch(lab: RunningLab, **config: Any) -> None:
    """Run the job `roll_back_index` for the niche `NICHE`, in the same way as the launchpad of Dagster's UI."""
    launched = lab.graphql(
        """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
            __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }""",
        params={
            "selector": {**REPOSITORY, "jobName": "roll_back_index"},
            "runConfigData": {"ops": {"move_pointer": {"config": config}}},
            "mode": "default",
            "executionMetadata": {"tags": [{"key": "dagster/partition", "value": NICHE}]},
        },
    )["launchRun"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    lab.wait_for_runs([launched["run"]["runId"]], 120)


@pytest.fixture(scope="module")
def video(refreshed: dict[str, Any], lab: RunningLab) -> str:
    """The id of a video that was in the index of the niche. The command `index delete` has taken this video out."""
    video_id = NicheIndex.load(served(lab)).items[0].video_id
    done = thumblab(lab.data_dir, "index", "delete", NICHE, video_id)
    assert done.returncode == 0, done.stderr
    assert f"{video_id}: out" in done.stdout
    return video_id


def test_the_service_follows_a_command_without_a_restart(lab: RunningLab, video: str) -> None:
    assert video not in NicheIndex.load(served(lab))
    assert answered_with(lab) == served(lab).release_id


@pytest.mark.slow
def test_the_job_of_the_ui_rolls_back_and_resumes_and_the_service_follows(lab: RunningLab, video: str) -> None:
    changed = served(lab)
    launch(lab)
    assert served(lab).place_in_history < changed.place_in_history
    assert video not in NicheIndex.load(served(lab)), "a rollback serves no video that was taken out"
    assert answered_with(lab) == served(lab).release_id
    assert "held: rolled back" in thumblab(lab.data_dir, "index", "status", NICHE).stdout
    launch(lab, resume=True)
    assert served(lab) == changed
    assert answered_with(lab) == changed.release_id


@pytest.mark.slow
def test_a_requested_rebuild_is_run_by_dagster_and_served(lab: RunningLab, video: str) -> None:
    before = served(lab)
    with psycopg.connect(url_from_outside(lab.data_dir, "thumblab")) as connection:
        connection.execute("INSERT INTO index_rebuilds (niche, reason) VALUES (%s, 'a test asked')", (NICHE,))
    deadline = time.monotonic() + 120
    while served(lab) == before and time.monotonic() < deadline:
        time.sleep(0.5)
    assert served(lab).info["changed_since"] == 0
    assert video not in NicheIndex.load(served(lab))
    assert answered_with(lab) == served(lab).release_id
    with psycopg.connect(url_from_outside(lab.data_dir, "thumblab")) as connection:
        assert connection.execute("SELECT count(*) FROM index_rebuilds").fetchone() == (0,)
