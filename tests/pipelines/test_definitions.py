"""The exact set of what Dagster loads: an asset that vanishes silently fails here."""

from typing import Any

import dagster as dg
import pytest

from thumblab_core.niches import NICHES
from thumblab_pipelines.definitions import defs as load

LIBRARY = {
    "raw_videos", "thumbnails", "embeddings", "visual_features", "channel_baselines", "faiss_index", "served_index",
}  # fmt: skip
RANKING = {"training_pairs", "ranking_model", "served_model"}

GRAPH = {
    "raw_videos": set(),
    "thumbnails": {"raw_videos"},
    "channel_baselines": {"raw_videos"},
    "embeddings": {"thumbnails"},
    "visual_features": {"thumbnails"},
    "faiss_index": {"embeddings", "channel_baselines"},
    "served_index": {"faiss_index"},
    "training_pairs": {"channel_baselines", "visual_features", "embeddings", "faiss_index"},
    "ranking_model": {"training_pairs"},
    "served_model": {"ranking_model"},
}

CHECKS = {
    ("raw_videos", "collected"),
    ("raw_videos", "plausible"),
    ("thumbnails", "mostly_readable"),
    ("thumbnails", "stored"),
    ("embeddings", "complete"),
    ("embeddings", "unit_length"),
    ("visual_features", "complete"),
    ("visual_features", "in_range"),
    ("channel_baselines", "positive"),
    ("faiss_index", "intact"),
    ("faiss_index", "encoder"),
    ("faiss_index", "finds_itself"),
    ("faiss_index", "size"),
    ("served_index", "pointer"),
    ("training_pairs", "enough"),
    ("training_pairs", "no_leak_of_videos"),
    ("training_pairs", "no_leak_of_pictures"),
    ("training_pairs", "same_channel"),
    ("training_pairs", "whole_channels"),
    ("ranking_model", "intact"),
    ("ranking_model", "encoders"),
    ("ranking_model", "alive"),
    ("ranking_model", "judged"),
    ("ranking_model", "beats_chance"),
    ("served_model", "pointer"),
}


@pytest.fixture(scope="module")
def definitions() -> dg.Definitions:
    return load()


@pytest.fixture(scope="module")
def specs(definitions: dg.Definitions) -> dict[str, dg.AssetSpec]:
    return {spec.key.to_user_string(): spec for spec in definitions.resolve_all_asset_specs()}


@pytest.fixture(scope="module")
def graph(definitions: dg.Definitions) -> Any:
    return definitions.resolve_asset_graph()


def test_these_are_the_assets(specs: dict[str, dg.AssetSpec]) -> None:
    assert set(specs) == LIBRARY | RANKING == set(GRAPH)


def test_the_graph_is_the_one_that_was_drawn(specs: dict[str, dg.AssetSpec]) -> None:
    assert {name: {dep.asset_key.to_user_string() for dep in spec.deps} for name, spec in specs.items()} == GRAPH


def test_these_are_the_checks_and_each_one_blocks(graph: Any) -> None:
    found = {(key.asset_key.to_user_string(), key.name): graph.get_check_spec(key) for key in graph.asset_check_keys}
    assert set(found) == CHECKS
    assert [name for name, spec in found.items() if not spec.blocking] == []


def test_every_asset_has_a_check(specs: dict[str, dg.AssetSpec]) -> None:
    assert {asset for asset, _ in CHECKS} == set(specs)


def test_the_library_is_partitioned_by_niche_and_the_model_is_not(specs: dict[str, dg.AssetSpec]) -> None:
    for name in LIBRARY:
        partitions = specs[name].partitions_def
        assert isinstance(partitions, dg.StaticPartitionsDefinition)
        assert tuple(partitions.get_partition_keys()) == NICHES
    assert all(specs[name].partitions_def is None for name in RANKING)


def test_every_asset_says_what_it_is_and_whose(specs: dict[str, dg.AssetSpec], graph: Any) -> None:
    for name, spec in specs.items():
        assert spec.group_name == ("library" if name in LIBRARY else "ranking")
        assert list(spec.owners) == ["team:thumblab"]
        assert spec.description
        assert len(spec.description) > 30
        assert spec.kinds, name
        assert spec.freshness_policy is not None
        assert spec.automation_condition is None, "the schedules start the work; two starters would do it twice"
        assert graph.get(spec.key).is_executable


def test_every_asset_is_tried_again_twice_and_ever_later(definitions: dg.Definitions) -> None:
    for asset in definitions.assets or []:
        policy = asset.node_def.retry_policy
        assert (policy.max_retries, policy.backoff, policy.jitter) == (2, dg.Backoff.EXPONENTIAL, dg.Jitter.PLUS_MINUS)


def test_there_are_two_jobs_and_each_selects_its_own_assets(definitions: dg.Definitions) -> None:
    jobs = {job.name: job for job in definitions.resolve_all_job_defs() if not job.name.startswith("__")}
    assert set(jobs) == {"refresh_library", "train_ranker"}
    selected = {
        name: {key.to_user_string() for key in job.asset_layer.executable_asset_keys} for name, job in jobs.items()
    }
    assert selected == {"refresh_library": LIBRARY, "train_ranker": RANKING}
    partitions = jobs["refresh_library"].partitions_def
    assert partitions is not None
    assert tuple(partitions.get_partition_keys()) == NICHES
    assert jobs["train_ranker"].partitions_def is None


def test_each_job_brings_the_checks_of_its_assets(definitions: dg.Definitions) -> None:
    for name, assets in (("refresh_library", LIBRARY), ("train_ranker", RANKING)):
        keys = definitions.resolve_job_def(name).asset_layer.asset_graph.asset_check_keys
        assert {(k.asset_key.to_user_string(), k.name) for k in keys} == {c for c in CHECKS if c[0] in assets}


def test_these_are_the_schedules_and_nothing_else_starts_work(definitions: dg.Definitions) -> None:
    repository = definitions.get_repository_def()
    found = {s.name: s for s in repository.schedule_defs}
    assert {
        name: (s.job_name, s.cron_schedule, s.execution_timezone, s.default_status) for name, s in found.items()
    } == {
        "daily_refresh": ("refresh_library", "0 3 * * *", "Australia/Hobart", dg.DefaultScheduleStatus.RUNNING),
        "weekly_training": ("train_ranker", "0 5 * * 1", "Australia/Hobart", dg.DefaultScheduleStatus.RUNNING),
    }
    assert repository.sensor_defs == []


def test_these_are_the_resources(definitions: dg.Definitions) -> None:
    assert set(definitions.resources or {}) == {"lab", "mlflow"}


def test_the_definitions_can_be_loaded(definitions: dg.Definitions) -> None:
    dg.Definitions.validate_loadable(definitions)
