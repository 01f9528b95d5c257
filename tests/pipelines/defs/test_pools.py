"""Tests of Dagster's pools. The steps of a pool run one after the other, even in different runs, and every step ends.

The runs share a real Dagster instance: the lab's own `dagster.yaml`, on PostgreSQL.
"""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import dagster as dg
import pytest

from thumblab_pipelines.dagster_partitions import add_partitions
from thumblab_pipelines.definitions import defs
from thumblab_pipelines.defs import resources
from thumblab_pipelines.models.refresh import RefreshedModel
from thumblab_pipelines.run_launcher import end_abandoned_runs


@pytest.fixture
def instance(dagster_home: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.get() as instance:
        add_partitions(instance, ["tech"])
        yield instance


def test_a_run_does_not_encode_before_the_encoder_of_another_run_has_ended(
    instance: dg.DagsterInstance, small: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "_opened", lambda chosen, url: small.lab)
    pools, job = instance.event_log_storage, defs().resolve_job_def("embed_library")
    assert pools.claim_concurrency_slot("encoder", "another run", "visual_features").is_claimed

    def encode() -> dg.ExecuteInProcessResult:
        return job.execute_in_process(
            instance=instance, partition_key="tech", asset_selection=[dg.AssetKey("embeddings")]
        )

    with ThreadPoolExecutor(1) as thread:
        future = thread.submit(encode)
        deadline = time.monotonic() + 120
        while not (waiting := pools.get_concurrency_info("encoder").pending_step_count):
            assert time.monotonic() < deadline
            assert not future.done(), future.result()
            time.sleep(0.05)
        run = instance.get_runs(limit=1)[0]
        assert waiting == 1
        assert "STEP_START" not in types_of(instance, run.run_id)
        pools.free_concurrency_slots_for_run("another run")
        assert future.result(120).success
    assert "STEP_START" in types_of(instance, run.run_id)
    assert pools.get_concurrency_info("encoder").active_slot_count == 0


def test_the_daily_refresh_encodes_while_imported_videos_are_trained_on(
    instance: dg.DagsterInstance, small: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "_opened", lambda chosen, url: small.lab)
    monkeypatch.setattr("thumblab_pipelines.defs.refresh_imported.refresh_niches", lambda *_: ([], {}))
    in_training, daily_refresh_has_ended = Event(), Event()

    def train(*_: object) -> RefreshedModel:
        in_training.set()
        assert daily_refresh_has_ended.wait(120)
        return RefreshedModel(None, "trained")

    monkeypatch.setattr("thumblab_pipelines.defs.refresh_imported.train_and_serve", train)
    with ThreadPoolExecutor(1) as thread:
        training = thread.submit(defs().resolve_job_def("refresh_imported").execute_in_process, instance=instance)
        assert in_training.wait(120), training.result()
        embeddings = (
            defs()
            .resolve_job_def("embed_library")
            .execute_in_process(instance=instance, partition_key="tech", asset_selection=[dg.AssetKey("embeddings")])
        )
        assert not training.done()
        daily_refresh_has_ended.set()
        assert embeddings.success
        assert training.result(120).success


def test_a_dead_run_gives_back_its_place_in_a_pool(instance: dg.DagsterInstance) -> None:
    pools = instance.event_log_storage
    run = instance.create_run_for_job(defs().resolve_job_def("check_lab"), status=dg.DagsterRunStatus.STARTED)
    assert pools.claim_concurrency_slot("encoder", run.run_id, "embeddings").is_claimed
    lock = Path(instance.root_directory) / "dagster" / "executing" / f"{run.run_id}.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()  # The lock file exists, but no process has locked the file, as after a kill of the run.
    assert not pools.claim_concurrency_slot("encoder", "another", "embeddings").is_claimed
    end_abandoned_runs(instance)
    assert pools.claim_concurrency_slot("encoder", "another", "embeddings").is_claimed
    pools.free_concurrency_slots_for_run("another")


def types_of(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    """Return the types of a run's events, the oldest event first."""
    return [record.dagster_event.event_type_value for record in instance.all_logs(run_id) if record.dagster_event]
