"""Tests of the exact set of definitions that Dagster loads, so that no asset can disappear unnoticed."""

import importlib.metadata
import re
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from thumblab_pipelines.definitions import defs as load

LIBRARY = {
    "raw_videos", "thumbnails", "embeddings", "visual_features", "channel_baselines", "faiss_index", "served_index",
}  # fmt: skip
COLLECTION, TABLES = {"crawled_videos", "true_ctr", "experiments"}, {"videos", "kept_predictions"}
"""The assets of the group `collection`, and the tables that Dagster shows as assets but does not materialize."""
UPKEEP, RANKING = {"view_history", "retention", "lab_retention"}, {"training_pairs", "ranking_model", "served_model"}
PREDICTIONS, REPORTS = {"prediction_quality"}, {"niche_report"}
MAPS = {"library_map", "library_map_of_all"}
PEOPLE = {"faces", "face_clusters", "matching_head", "people"}
BY_HAND = {"crawled_videos", "true_ctr", "experiments", "prediction_quality", *PEOPLE}
"""The assets that are made on a schedule only if a person turns the schedule on."""

GROUPS = {
    "collection": COLLECTION,
    "library": LIBRARY | {"videos"},
    "upkeep": UPKEEP,
    "ranking": RANKING,
    "predictions": PREDICTIONS | {"kept_predictions"},
    "people": PEOPLE,
    "reports": REPORTS,
    "maps": MAPS,
}
ON_REQUEST = {"true_ctr", "experiments", "prediction_quality", *PEOPLE} - {"faces"}
"""The assets that are materialized only if a person starts a job. These assets are not partitioned by niche."""

GRAPH: dict[str, set[str]] = {
    "raw_videos": set(),
    "crawled_videos": set(),
    "videos": {"raw_videos", "crawled_videos"},
    "view_history": {"videos"},
    "retention": {"videos"},
    "lab_retention": {"videos"},
    "true_ctr": {"videos"},
    "experiments": {"videos"},
    "thumbnails": {"raw_videos", "videos"},
    "channel_baselines": {"raw_videos", "videos"},
    "embeddings": {"thumbnails", "videos", "experiments"},
    "visual_features": {"thumbnails", "videos", "embeddings"},
    "faiss_index": {"embeddings", "channel_baselines", "visual_features", "thumbnails", "videos"},
    "served_index": {"faiss_index", "videos"},
    "training_pairs": {
        "videos",
        "thumbnails",
        "embeddings",
        "visual_features",
        "view_history",
        "crawled_videos",
        "true_ctr",
        "experiments",
    },
    "ranking_model": {"training_pairs", "videos"},
    "served_model": {"ranking_model"},
    "kept_predictions": {"served_index", "served_model"},
    "prediction_quality": {
        "kept_predictions",
        "experiments",
        "videos",
        "thumbnails",
        "view_history",
        "served_model",
    },
    "faces": {"thumbnails", "videos"},
    "matching_head": {"faces", "thumbnails", "videos"},
    "face_clusters": {"faces", "matching_head", "thumbnails", "videos"},
    "people": {"face_clusters", "faces", "thumbnails", "videos"},
    "niche_report": {"visual_features", "channel_baselines", "thumbnails", "videos"},
    **{name: {"embeddings", "channel_baselines", "visual_features", "thumbnails", "videos"} for name in MAPS},
}

CHECKS = {
    (asset, check)
    for asset, checks in {
        "raw_videos": ("collected", "plausible", "finished"),
        "crawled_videos": ("corpus", "finished"),
        "view_history": ("answered", "not_too_many", "finished"),
        "retention": ("forgotten_everywhere", "not_too_many", "finished"),
        "lab_retention": ("forgotten_everywhere",),
        "true_ctr": ("readable", "plausible"),
        "experiments": ("pictures", "consistent"),
        "thumbnails": ("mostly_readable", "stored"),
        "embeddings": ("complete", "unit_length"),
        "visual_features": ("complete", "in_range"),
        "channel_baselines": ("positive",),
        "faiss_index": ("intact", "encoder", "finds_itself", "size"),
        "served_index": ("pointer",),
        "training_pairs": (
            "enough",
            "no_leak_of_videos",
            "no_leak_of_pictures",
            "same_channel",
            "whole_channels",
            "later_is_held_out",
            "same_era",
            "no_future_observation",
            "labels_hold",
            "target_of_training_rows",
            "one_video",
        ),
        "ranking_model": ("intact", "encoders", "alive", "judged", "beats_chance"),
        "served_model": ("pointer", "promoted"),
        "prediction_quality": ("enough_outcomes", "calibrated"),
        "faces": ("searched", "embedded"),
        "face_clusters": ("kept", "calibrated"),
        "matching_head": ("not_worse",),
        "people": ("enough_names",),
        "niche_report": ("enough_videos", "pictures_measured"),
        **dict.fromkeys(MAPS, ("intact", "finite", "placed", "trustworthiness", "drift")),
    }.items()
    for check in checks
}

LAB_CHECKS = {
    ("raw_videos", "as_many_as_usual"),
    ("thumbnails", "downloads_succeed"),
    ("embeddings", "vectors_as_before"),
    ("visual_features", "sub_scores_as_before"),
    ("served_index", "files_undamaged"),
    ("served_model", "files_undamaged"),
    ("served_index", "recall"),
    ("served_model", "beats_simple_rankings"),
    ("prediction_quality", "answers_calibrated"),
}
"""The checks that run without their assets. The job `check_lab` runs all of these checks."""


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
    assert set(specs) == set().union(*GROUPS.values()) == set(GRAPH)


def test_the_asset_graph_is_as_expected(specs: dict[str, dg.AssetSpec]) -> None:
    assert {name: {dep.asset_key.to_user_string() for dep in spec.deps} for name, spec in specs.items()} == GRAPH


def test_data_flows_in_one_direction_between_the_groups(specs: dict[str, dg.AssetSpec]) -> None:
    order = {name: place for place, group in enumerate(GROUPS.values()) for name in group}
    # `arrows` has no arrow to or from the table `videos`. This table is in the group `library`, but assets of every
    # group read or write this table.
    arrows = {
        (dep.asset_key.to_user_string(), name)
        for name, spec in specs.items()
        for dep in spec.deps
        if "videos" not in (dep.asset_key.to_user_string(), name)
    }
    assert [(a, b) for a, b in arrows if order[a] > order[b]] == []


def test_these_are_the_checks_and_all_but_the_advisory_ones_block(graph: Any) -> None:
    checks = {(key.asset_key.to_user_string(), key.name): graph.get_check_spec(key) for key in graph.asset_check_keys}
    assert set(checks) == CHECKS | LAB_CHECKS
    advisory = {name for (_, name), spec in checks.items() if not spec.blocking}
    own = "finished promoted consistent enough_outcomes calibrated searched embedded kept not_worse enough_names"
    own += " enough_videos pictures_measured trustworthiness drift"
    assert advisory == {*own.split()} | {name for _, name in LAB_CHECKS}
    assert [key for key, spec in checks.items() if len(spec.description or "") < 25] == []


def test_every_asset_has_a_check(specs: dict[str, dg.AssetSpec]) -> None:
    assert {asset for asset, _ in CHECKS} == set(specs) - TABLES


def test_the_library_is_partitioned_by_niche_and_the_model_is_not(specs: dict[str, dg.AssetSpec], graph: Any) -> None:
    for name in LIBRARY | UPKEEP - {"lab_retention"} | REPORTS | {"videos", "crawled_videos", "faces", "library_map"}:
        partitions = specs[name].partitions_def
        assert partitions == dg.DynamicPartitionsDefinition(name="niche")
        # With a backfill policy, the runs of a backfill have no tag `dagster/partition`. `dagster.yaml` needs this tag
        # to allow only one run of a niche at a time.
        assert graph.get(specs[name].key).backfill_policy is None
    assert all(
        specs[name].partitions_def is None for name in RANKING | ON_REQUEST | {"library_map_of_all", "lab_retention"}
    )


def test_every_asset_has_a_description_and_an_owner(specs: dict[str, dg.AssetSpec], graph: Any) -> None:
    for name, spec in specs.items():
        assert name in GROUPS[spec.group_name or ""]
        assert list(spec.owners) == ["team:thumblab"]
        assert spec.description
        assert len(spec.description) > 30
        assert spec.kinds, name
        # A freshness policy states how often an asset must be made. An asset without a schedule cannot satisfy such a
        # policy.
        assert (spec.freshness_policy is not None) == (name not in TABLES | BY_HAND), name
        assert spec.automation_condition is None, (
            "the schedules already start this asset, and an automation condition would start it a second time"
        )
        assert graph.get(spec.key).is_executable == (name not in TABLES)


def test_every_asset_is_retried_twice_with_growing_delays(definitions: dg.Definitions) -> None:
    made = [asset for asset in definitions.assets or [] if isinstance(asset, dg.AssetsDefinition)]
    assert len(made) == len(GRAPH) - len(TABLES)
    for asset in made:
        policy = asset.node_def.retry_policy  # type: ignore[attr-defined]
        assert (policy.max_retries, policy.backoff, policy.jitter) == (2, dg.Backoff.EXPONENTIAL, dg.Jitter.PLUS_MINUS)


JOBS = {
    "refresh_library": LIBRARY,
    "crawl_corpus": {"crawled_videos"},
    "encode_crawl": {"embeddings", "visual_features"},
    "observe_views": {"view_history"},
    "apply_retention": {"retention"},
    "apply_lab_retention": {"lab_retention"},
    "train_ranker": RANKING,
    "rebuild_index": {"faiss_index", "served_index"},
    "embed_library": {"embeddings", "faiss_index", "served_index"},
    "serve_model": {"served_model"},
    "judge_predictions": PREDICTIONS,
    "check_lab": set(),
    "find_faces": {"faces"},
    "group_people": {"face_clusters", "people"},
    "train_people": {"matching_head", "face_clusters", "people"},
    "report_niche": REPORTS,
    "map_library": {"library_map"},
    "map_all_libraries": {"library_map_of_all"},
}
UNPARTITIONED = {
    "train_ranker", "serve_model", "refresh_imported", "judge_predictions", "change_index", "add_channel", "check_lab",
    "send_summary", "group_people", "train_people", "map_all_libraries", "roll_back_map",
    "apply_lab_retention",
}  # fmt: skip


def test_each_job_selects_its_own_assets(definitions: dg.Definitions) -> None:
    jobs = {job.name: job for job in definitions.resolve_all_job_defs() if not job.name.startswith("__")}
    selected = {
        name: {key.to_user_string() for key in job.asset_layer.executable_asset_keys} for name, job in jobs.items()
    }
    without_assets = {
        "roll_back_index",
        "change_index",
        "refresh_imported",
        "add_channel",
        "send_summary",
        "roll_back_map",
    }
    assert selected == JOBS | {name: set() for name in without_assets}
    for name, job in jobs.items():
        partitions = job.partitions_def
        if name in UNPARTITIONED:
            assert partitions is None
        else:
            assert partitions == dg.DynamicPartitionsDefinition(name="niche")


@pytest.mark.parametrize("name", ["refresh_library", "observe_views", "apply_retention", "apply_lab_retention"])
def test_no_scheduled_job_depends_on_the_optional_crawl(graph: Any, name: str) -> None:
    """Check that the job `name` needs nothing from the crawl.

    The job may read only the tables in `TABLES`, and assets that the job makes itself. If an asset upstream of a job
    was never materialized, Dagster's UI asks "Are you sure?" before it starts the job. Some labs never run the crawl,
    so this question would come each time.
    """
    first = [key for parent in JOBS[name] for key in graph.get(dg.AssetKey(parent)).parent_keys]
    outside = {key.to_user_string() for key in first} - JOBS[name]
    assert outside <= {"videos", "experiments"}
    # Dagster's UI asks "Are you sure?" only about partitions. The asset `experiments` has no partitions, so a job may
    # read it.
    assert [key for key in outside if graph.get(dg.AssetKey(key)).is_materializable] in ([], ["experiments"])
    assert graph.get(dg.AssetKey("experiments")).partitions_def is None


def test_each_job_includes_the_checks_of_its_assets(definitions: dg.Definitions) -> None:
    for name, assets in JOBS.items():
        keys = definitions.resolve_job_def(name).asset_layer.asset_graph.asset_check_keys
        assert {(k.asset_key.to_user_string(), k.name) for k in keys} == (
            LAB_CHECKS if name == "check_lab" else {check for check in CHECKS if check[0] in assets}
        )


def test_these_are_the_resources(definitions: dg.Definitions) -> None:
    assert set(definitions.resources or {}) == {"lab", "mlflow"}


def test_the_definitions_can_be_loaded(definitions: dg.Definitions) -> None:
    dg.Definitions.validate_loadable(definitions)


def test_every_kind_has_an_icon_in_dagsters_page(specs: dict[str, dg.AssetSpec]) -> None:
    page = Path(str(importlib.metadata.distribution("dagster-webserver").locate_file("dagster_webserver/webapp/build")))
    kinds = {kind for spec in specs.values() for kind in spec.kinds}
    scripts = [path.read_text() for path in page.rglob("*.js") if "greatexpectations:{icon" in path.read_text()]
    assert scripts, "this version of Dagster has its list of icons in a different file"
    without = {kind for kind in kinds if not any(re.search(rf'[{{,]"?{kind}"?:\{{icon', script) for script in scripts)}
    assert without == set()


def test_every_made_asset_has_a_version_of_its_code_a_link_to_its_docs_and_the_schema_of_its_table(
    specs: dict[str, dg.AssetSpec],
) -> None:
    for name, spec in specs.items():
        assert (spec.code_version is None) == (name in TABLES), name
        docs = spec.metadata["docs"]
        assert isinstance(docs, dg.PathMetadataValue)
        assert Path(str(docs.path)).is_file(), name
    schema = specs["embeddings"].metadata["dagster/column_schema"]
    assert isinstance(schema, dg.TableSchema)
    assert [column.name for column in schema.columns] == ["video_id", "encoder", "source_digest", "vector"]
    assert specs["embeddings"].metadata["dagster/table_name"] == "embeddings"


def test_pools_and_priorities_keep_one_encoder_one_caller_of_youtube_and_one_trainer(
    definitions: dg.Definitions,
) -> None:
    pools: dict[str | None, set[str]] = {}
    for asset in definitions.assets or []:
        if isinstance(asset, dg.AssetsDefinition):
            pools.setdefault(asset.node_def.pool, set()).add(asset.key.to_user_string())  # type: ignore[attr-defined]
    assert pools["encoder"] == {"embeddings", "visual_features", "faces"}
    assert pools["youtube"] == {"raw_videos", "crawled_videos", "view_history", "retention", "lab_retention"}
    assert pools["trainer"] == {"ranking_model", "matching_head", "face_clusters"}
    priority = {job.name: int((job.tags or {}).get("dagster/priority", "0")) for job in definitions.jobs or []}
    assert priority["observe_views"] > priority["refresh_library"] > 0 > priority["crawl_corpus"]
    assert priority["refresh_library"] == priority["apply_retention"] > priority["apply_lab_retention"] > 0
    assert priority["embed_library"] == priority["crawl_corpus"] == priority["encode_crawl"]
