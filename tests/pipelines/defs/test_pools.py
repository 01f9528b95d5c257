"""Tests of pools: steps of different runs that need the same thing run one after the other, and all of them end.

The runs share a real Dagster instance: the lab's own `dagster.yaml`, on PostgreSQL.
"""

import itertools
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from thumblab_core.settings import CHECKOUT, settings
from thumblab_pipelines.dagster_storage import LabStorage
from thumblab_pipelines.definitions import defs
from thumblab_pipelines.defs import resources
from thumblab_pipelines.run_launcher import end_abandoned_runs

NICHES = ("tech", "gaming", "news")


@pytest.fixture
def instance(
    new_database: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh_settings: None
) -> Iterator[dg.DagsterInstance]:
    shutil.copy(CHECKOUT / "dagster.yaml", tmp_path)
    monkeypatch.setenv("THUMBLAB_DATABASE_URL", new_database())
    monkeypatch.setenv("THUMBLAB_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    settings.cache_clear()
    with dg.DagsterInstance.get() as instance:
        assert isinstance(instance._storage, LabStorage)
        yield instance


def moments(instance: dg.DagsterInstance, run_id: str) -> tuple[float, float]:
    """Return when the only step of a run started and ended."""
    (record,) = instance.get_run_step_stats(run_id)
    assert record.start_time is not None
    assert record.end_time is not None
    return record.start_time, record.end_time


def test_runs_of_different_niches_encode_one_after_the_other_and_all_end(
    instance: dg.DagsterInstance, small: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "_opened", lambda chosen, url: small.lab)
    job = defs().resolve_job_def("embed_library")

    def encode(niche: str) -> dg.ExecuteInProcessResult:
        return job.execute_in_process(
            instance=instance, partition_key=niche, asset_selection=[dg.AssetKey("embeddings")]
        )

    with ThreadPoolExecutor(len(NICHES)) as threads:
        results = list(threads.map(encode, NICHES))
    assert all(result.success for result in results)
    spans = sorted(moments(instance, result.run_id) for result in results)
    assert [earlier for earlier, later in itertools.pairwise(spans) if earlier[1] > later[0]] == []
    waited = [result for result in results if "blocked by limit for pool encoder" in text_of(instance, result.run_id)]
    assert waited, "no run had to wait, so this test shows nothing"
    assert instance.event_log_storage.get_concurrency_info("encoder").active_slot_count == 0


def test_a_dead_run_gives_back_its_place_in_a_pool(instance: dg.DagsterInstance) -> None:
    pools = instance.event_log_storage
    pools.initialize_concurrency_limit_to_default("encoder")
    run = instance.create_run_for_job(defs().resolve_job_def("check_lab"), status=dg.DagsterRunStatus.STARTED)
    assert pools.claim_concurrency_slot("encoder", run.run_id, "embeddings").is_claimed
    lock = Path(instance.root_directory) / "dagster" / "executing" / f"{run.run_id}.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()  # Its process had a lock, and holds it no more.
    assert not pools.claim_concurrency_slot("encoder", "another", "embeddings").is_claimed
    end_abandoned_runs(instance)
    assert pools.get_concurrency_info("encoder").active_run_ids == {"another"}


def text_of(instance: dg.DagsterInstance, run_id: str) -> str:
    return "; ".join(str(record.message) for record in instance.all_logs(run_id))
