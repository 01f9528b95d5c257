"""Backfills of `refresh_library` in a running lab."""

import time
from typing import Any

from real_processes import REPOSITORY, RunningLab, wait_until

from thumblab_core.niches import DEFAULT_NAMES


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


def begin_backfill(lab: RunningLab) -> str:
    """Start a backfill of `refresh_library` over all niches, wait until its first run has begun, and return the id of
    the backfill.
    """
    launched = lab.graphql(
        """mutation($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
            __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message stack } } }""",
        params={
            "selector": {"partitionSetName": "refresh_library_partition_set", "repositorySelector": REPOSITORY},
            "partitionNames": list(DEFAULT_NAMES),
        },
    )["launchPartitionBackfill"]
    assert launched["__typename"] == "LaunchBackfillSuccess", launched
    backfill_id: str = launched["backfillId"]

    def begun() -> bool:
        runs = runs_of_backfill(lab, backfill_id)["runs"]
        return len(runs) == len(DEFAULT_NAMES) and any(run["status"] == "STARTED" for run in runs)

    wait_until(begun, 120, "the first run of the backfill begins")
    return backfill_id


def end_of_backfill(lab: RunningLab, backfill_id: str) -> dict[str, Any]:
    """Wait until every run of the backfill has succeeded, and return the state of the backfill."""
    deadline = time.monotonic() + 1_500
    while True:
        state = runs_of_backfill(lab, backfill_id)
        # The loop does not wait for the status of the backfill, because the daemon changes that status only half a
        # minute after the last run has ended.
        if all(run["status"] == "SUCCESS" for run in state["runs"]):
            return state
        assert time.monotonic() < deadline, [run["status"] for run in state["runs"]]
        time.sleep(0.5)
