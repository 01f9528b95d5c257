"""Tests that each asset declares a dependency on exactly the assets whose data its step reads.

Every step runs once, on PostgreSQL and with an emulator of YouTube, while its reads and writes are traced.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pytest
from given_experiments import given_planted
from planted_catalogue import FOOD, RED, plant
from tiny_clip import TinyClip
from traced_tables import Touched, tracing

from demo.catalogues.experiments import planted_experiments
from demo.catalogues.synthetic import synthetic_catalogue
from demo.emulator import Emulator
from demo.reporting import ReachReport, reach_csv
from thumblab_core.database.tables import metadata
from thumblab_pipelines.collection.catalogue import import_catalogue
from thumblab_pipelines.dagster_partitions import add_partitions
from thumblab_pipelines.definitions import defs
from thumblab_pipelines.defs import resources
from thumblab_pipelines.defs.kept import RELEASES, TABLES, UNOWNED
from thumblab_pipelines.defs.resources import MlflowResource
from thumblab_pipelines.experiments.add import ExperimentWriter
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.models import build
from thumblab_pipelines.models.tracking import Tracker

JOBS = {
    "raw_videos": "refresh_library",
    "crawled_videos": "crawl_corpus",
    "thumbnails": "refresh_library",
    "embeddings": "refresh_library",
    "visual_features": "refresh_library",
    "channel_baselines": "refresh_library",
    "faiss_index": "refresh_library",
    "served_index": "refresh_library",
    "view_history": "observe_views",
    "true_ctr": "",
    "experiments": "",
    "training_pairs": "train_ranker",
    "ranking_model": "train_ranker",
    "served_model": "train_ranker",
    "prediction_quality": "judge_predictions",
    "niche_report": "report_niche",
    "library_map": "map_library",
    "retention": "apply_retention",
    "lab_retention": "apply_lab_retention",
}
"""The order in which the assets are made, and the job that makes each asset. An asset without a job is materialized
alone.
"""

NO_TIME = timedelta(0)

WRITERS = {"videos": {"raw_videos", "crawled_videos", "view_history", "retention", "lab_retention"}}
"""For each asset that Dagster does not materialize, the assets that write its tables."""

BACKWARD = {
    ("faiss_index", "served_index"): "the size of a new index is compared with that of the served one",
    ("training_pairs", "served_model"): "the pairs of the served model are not deleted",
}
"""Pairs of assets with a reason. The first asset reads data that an earlier run of the second asset has made. In the
graph of assets, the second asset comes later, so this reading is not a dependency.
"""

CLEANERS = {"retention", "lab_retention"}
"""Assets that search all tables for data that must be deleted. A search of a table is not a dependency."""

OWNER = {table.name: asset for asset, tables in TABLES.items() for table in tables}
OWNER |= {name: asset for asset, names in RELEASES.items() for name in names}


@dataclass
class Making:
    """A lab, and the Dagster definitions and instance that make its assets."""

    lab: Lab
    definitions: dg.Definitions
    instance: dg.DagsterInstance

    def make(self, asset: str, job_name: str) -> Touched:
        """Materialize an asset. If the asset is partitioned by niche, materialize the partition `tech`.

        Return the tables and releases that its step read and wrote.
        """
        if job_name:
            job = self.definitions.resolve_job_def(job_name)
        else:
            job = self.definitions.resolve_implicit_global_asset_job_def()
        niche = "tech" if job_name and job.partitions_def is not None else None
        with tracing(self.lab.engine.url) as touched:
            made = job.execute_in_process(
                instance=self.instance,
                partition_key=niche,
                asset_selection=[dg.AssetKey(asset)],
                raise_on_error=False,
            )
        failed = [str(event.step_failure_data.user_failure_data) for event in made.all_events if event.is_step_failure]
        assert made.get_asset_materialization_events(), (asset, failed)
        return touched


@pytest.fixture(scope="module")
def definitions() -> dg.Definitions:
    return defs()


@pytest.fixture(scope="module")
def traces(
    open_lab: Callable[..., Lab],
    definitions: dg.Definitions,
    tiny: TinyClip,
    drawn: Callable[..., bytes],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, Touched]]:
    """The tables and releases that the step of each asset read and wrote."""
    import mlflow

    folder = tmp_path_factory.mktemp("lineage")
    owner = folder / "owner.json"
    secrets = {"client_id": "id.apps", "client_secret": "GOCSPX-SecretOfTheTests", "refresh_token": "1//Token"}
    owner.write_text(json.dumps({"type": "authorized_user", **secrets}))
    catalogue = synthetic_catalogue(videos=210)
    channel = next(name for name, channel in catalogue.channels.items() if channel.niche == "tech")
    uri = f"sqlite:///{folder}/mlflow.db"
    with Emulator(catalogue) as emulator, pytest.MonkeyPatch.context() as patch:
        lab = open_lab(
            image_encoder=tiny.setting,
            youtube_endpoint=emulator.endpoint,
            youtube_api_key="any",
            youtube_owner_credentials=owner,
            crawl_channels=1,
            keep_predictions=True,
        )
        (folder / "catalogue").mkdir()
        plant(folder / "catalogue", drawn, {"Red": RED, "Food": FOOD}, 60)
        import_catalogue(lab, folder / "catalogue")
        emulator.reach_reports = [reach_report(channel)]
        mlflow.set_tracking_uri(uri)
        mlflow.create_experiment("thumbnail-ranker", artifact_location=(folder / "artifacts").as_uri())
        tracker = Tracker(mlflow.MlflowClient(uri), uri, "thumbnail-ranker")
        patch.setattr(MlflowResource, "connect", lambda self: tracker)
        patch.setattr(resources, "_opened", lambda chosen, url: lab)
        # Lower the minimum number of pairs, so that the model is served although its evaluation has few pairs.
        patch.setattr(build, "_LEAST_PAIRS", 1)
        found = {}
        with dg.DagsterInstance.ephemeral() as instance:
            add_partitions(instance, ["tech"])
            making = Making(lab, definitions, instance)
            for asset, job in JOBS.items():
                if asset == "embeddings":
                    for number, planted in enumerate(planted_experiments(catalogue, channel, 4, seed=1)):
                        given = given_planted(planted, channel, date(2026, 11, 1), folder / str(number))
                        ExperimentWriter(lab).add(given)
                # The clock moves 3 days ahead before `view_history` is made, because the lab observes views only after
                # some time. The clock moves 27 days ahead before `retention` is made, so that the facts of videos have
                # to be refreshed.
                emulator.advance(
                    {"view_history": timedelta(days=3), "retention": timedelta(days=27)}.get(asset, NO_TIME)
                )
                found[asset] = making.make(asset, job)
        yield found


def reach_report(channel: str) -> ReachReport:
    day = date(2026, 11, 1)
    table = reach_csv([(day, channel, "video_aaaaa", 100, 0.05)])
    return ReachReport(day, day + timedelta(days=1), table, datetime(2026, 11, 2, 12, tzinfo=UTC))


@pytest.fixture(scope="module")
def deps(definitions: dg.Definitions) -> dict[str, set[str]]:
    """The declared dependencies of each asset."""
    specs = definitions.resolve_all_asset_specs()
    return {spec.key.to_user_string(): {dep.asset_key.to_user_string() for dep in spec.deps} for spec in specs}


def read_assets(asset: str, touched: Touched) -> dict[str, set[str]]:
    """Return which tables and releases of other assets a step read, by the name of the other asset."""
    read: dict[str, set[str]] = {}
    for name in touched.reads - set(UNOWNED):
        owner = OWNER[name]
        if owner != asset and asset not in WRITERS.get(owner, ()):
            read.setdefault(owner, set()).add(name)
    return read


def test_every_table_has_an_owner_or_a_reason_for_no_owner() -> None:
    names = {table.name for table in metadata.sorted_tables}
    assert names == (set(OWNER) | set(UNOWNED)) & names
    assert set(OWNER) & set(UNOWNED) == set()


@pytest.mark.heavy
def test_a_step_reads_only_what_its_asset_declares(traces: dict[str, Touched], deps: dict[str, set[str]]) -> None:
    undeclared = {
        (asset, owner): names
        for asset, touched in traces.items()
        for owner, names in read_assets(asset, touched).items()
        if owner not in deps[asset] and asset not in CLEANERS
    }
    assert set(undeclared) == set(BACKWARD), undeclared


@pytest.mark.heavy
def test_every_declared_dependency_of_an_asset_is_read(traces: dict[str, Touched], deps: dict[str, set[str]]) -> None:
    unread = {}
    for asset, touched in traces.items():
        read = set(read_assets(asset, touched))
        # Some assets read the table `videos`, which is no output of an asset in Dagster. Such an asset may depend on
        # the assets that write the table, so that it runs after these assets. But it need not read anything else that
        # these assets make.
        writers = {writer for owner in read for writer in WRITERS.get(owner, ())}
        own = {owner for owner, of in WRITERS.items() if asset in of}
        unread[asset] = deps[asset] - read - writers - own
    assert {asset: names for asset, names in unread.items() if names} == {}


@pytest.mark.heavy
def test_a_step_writes_only_what_its_asset_owns(traces: dict[str, Touched]) -> None:
    foreign = {}
    for asset, touched in traces.items():
        owners = {OWNER[name] for name in touched.writes - set(UNOWNED)}
        own = {asset} | {owner for owner, of in WRITERS.items() if asset in of}
        foreign[asset] = owners - own
    assert {asset: owners for asset, owners in foreign.items() if owners and asset not in CLEANERS} == {}


@pytest.mark.heavy
def test_the_trace_sees_tables_behind_views_and_copies(traces: dict[str, Touched]) -> None:
    assert {"earlier_embeddings", "video_reach", "views_at_age", "crawl_videos"} <= traces["training_pairs"].reads
    assert {"embeddings", "release encoder"} <= traces["embeddings"].writes
    assert "pointer model" in traces["served_model"].writes
