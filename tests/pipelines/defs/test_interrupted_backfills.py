"""Tests of a backfill while the code server cannot be loaded, because it starts slowly or was killed.

The tests call the daemon's functions for backfills, with the environment that `thumblab up` gives to the daemon.
"""

import logging
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster import DefaultRunLauncher
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.execution.backfill import BulkActionStatus
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
from dagster._daemon.backfill import execute_backfill_iteration
from dagster_graphql.test.utils import execute_dagster_graphql

from thumblab_cli.servers.lab_servers import DAGSTER_ENVIRONMENT
from thumblab_pipelines import run_launcher
from thumblab_pipelines.run_locks import RunLocks

DEFINITIONS = """
import dagster as dg

@dg.asset(partitions_def=dg.StaticPartitionsDefinition(["tech", "news"]))
def videos() -> None: ...

defs = dg.Definitions(assets=[videos])
"""


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WorkspaceProcessContext]:
    for name, value in DAGSTER_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    module = tmp_path / "given.py"
    module.write_text(DEFINITIONS)
    target = LoadableTargetOrigin(executable_path=sys.executable, python_file=str(module))
    origin = InProcessCodeLocationOrigin(target, location_name="given")
    overrides = {
        "run_coordinator": {"module": "dagster.core.run_coordinator", "class": "QueuedRunCoordinator"},
        "run_launcher": {"module": "thumblab_pipelines.run_launcher", "class": "LabRunLauncher"},
    }
    monkeypatch.setattr(run_launcher, "run_locks_of", lambda _instance: RunLocks(tmp_path))
    with (
        dg.instance_for_test(temp_dir=str(tmp_path), overrides=overrides) as instance,
        WorkspaceProcessContext(instance, InProcessWorkspaceLoadTarget(origin)) as workspace,
    ):
        yield workspace


def launch(workspace: WorkspaceProcessContext) -> str:
    mutation = """mutation($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
        ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
    params: dict[str, Any] = {"assetSelection": [{"path": ["videos"]}], "partitionNames": ["tech", "news"]}
    answer = execute_dagster_graphql(workspace.create_request_context(), mutation, {"params": params}).data
    return str(answer["launchPartitionBackfill"]["backfillId"])


def evaluate(workspace: WorkspaceProcessContext) -> None:
    """Evaluate the backfill, as the daemon does twice a minute."""
    list(execute_backfill_iteration(workspace, logging.getLogger("test")))


def status(instance: dg.DagsterInstance, backfill_id: str) -> tuple[BulkActionStatus, object]:
    backfill = instance.get_backfill(backfill_id)
    assert backfill is not None
    return backfill.status, backfill.error


def lose_code(workspace: WorkspaceProcessContext, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object) -> None:
        raise DagsterUserCodeUnreachableError("the code server does not answer")

    monkeypatch.setattr(InProcessCodeLocationOrigin, "create_location", unreachable)
    workspace.refresh_code_location("given")


def test_a_backfill_continues_when_the_code_can_be_loaded_again(
    workspace: WorkspaceProcessContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance, backfill_id = workspace.instance, launch(workspace)
    with monkeypatch.context() as patch:
        lose_code(workspace, patch)
        for _ in range(8):  # Raise more errors than Dagster usually allows a backfill.
            evaluate(workspace)
    assert status(instance, backfill_id) == (BulkActionStatus.REQUESTED, None)
    assert instance.get_runs() == []

    workspace.refresh_code_location("given")
    evaluate(workspace)
    assert {run.tags["dagster/partition"] for run in instance.get_runs()} == {"tech", "news"}


def test_a_cancelled_backfill_does_not_count_as_failed_while_the_code_server_does_not_answer(
    workspace: WorkspaceProcessContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(launcher: DefaultRunLauncher, run_id: str) -> None:
        launcher._instance.report_run_canceling(launcher._instance.get_run_by_id(run_id))
        raise DagsterUserCodeUnreachableError("the code server does not answer")

    def end_process(instance: dg.DagsterInstance, run_id: str, _holder: object) -> None:
        run = instance.get_run_by_id(run_id)
        assert run is not None
        instance.report_run_canceled(run)

    monkeypatch.setattr(DefaultRunLauncher, "terminate", unreachable)
    monkeypatch.setattr(run_launcher, "_end_process", end_process)
    instance, backfill_id = workspace.instance, launch(workspace)
    evaluate(workspace)
    started, _queued = instance.get_runs()
    event = dg.DagsterEvent(dg.DagsterEventType.RUN_START.value, job_name=started.job_name)
    instance.report_dagster_event(event, run_id=started.run_id)

    mutation = """mutation($id: String!) { cancelPartitionBackfill(backfillId: $id) { __typename } }"""
    execute_dagster_graphql(workspace.create_request_context(), mutation, {"id": backfill_id})
    deadline = time.monotonic() + 60
    while status(instance, backfill_id)[0] == BulkActionStatus.CANCELING:
        assert time.monotonic() < deadline
        evaluate(workspace)
    assert status(instance, backfill_id) == (BulkActionStatus.CANCELED, None)
    assert {run.status for run in instance.get_runs()} == {dg.DagsterRunStatus.CANCELED}
