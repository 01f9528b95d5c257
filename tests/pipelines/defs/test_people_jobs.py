"""Test the jobs that find the people in thumbnails, with Dagster and the real networks.

The networks and the pictures of people are in the folder of real data, which is not in the repository.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import dagster as dg
import pytest
from pydantic import BaseModel
from test_lineage import OWNER
from traced_tables import Touched, tracing

from thumblab_core.people.naming import label
from thumblab_core.people.reading import list_clusters
from thumblab_pipelines.dagster_partitions import add_partitions
from thumblab_pipelines.definitions import defs
from thumblab_pipelines.defs import resources
from thumblab_pipelines.defs.kept import UNOWNED
from thumblab_pipelines.defs.people.face_clusters import Grouping
from thumblab_pipelines.defs.people.matching_head import Training
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.people.detect import detect_faces
from thumblab_pipelines.people.folder import add_folder
from thumblab_serving.schemas.people.people_requests import ClusterFacesRequest, TrainFacesRequest

BACKWARD = {("matching_head", "face_clusters"), ("faces", "face_clusters")}
"""Pairs of assets. The first asset reads data of the second asset, although the second comes later in the graph. This
reading is not a dependency.

The matching head learns from a person's changes to earlier clusters. The asset `faces` counts how many stored faces
have a cluster.
"""


@dataclass
class People:
    """A lab with the pictures of twelve people, and a function that runs a job and traces what the job reads and
    writes.
    """

    lab: Lab
    run: Callable[..., tuple[dg.ExecuteInProcessResult, Touched]]


@pytest.fixture(scope="module")
def people(shared_data: Path, open_lab: Callable[..., Lab]) -> Any:
    models = shared_data.parent / "models"
    lab = open_lab(
        people="own",
        face_model=models / "face_detection_yunet_2026may.onnx",
        face_embedder=models / "mobilefacenet.onnx",
    )
    add_folder(lab, shared_data / "faces" / "people")
    detect_faces(lab)
    definitions = defs()
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.ephemeral() as instance:
        patch.setattr(resources, "_opened", lambda chosen, url: lab)
        add_partitions(instance, ["tech"])

        def run(job: str, asset: str, **given: Any) -> tuple[dg.ExecuteInProcessResult, Touched]:
            with tracing(lab.engine.url) as touched:
                made = definitions.resolve_job_def(job).execute_in_process(
                    instance=instance, asset_selection=[dg.AssetKey(asset)], raise_on_error=False, **given
                )
            return made, touched

        yield People(lab, run)


def metadata_of(made: dg.ExecuteInProcessResult) -> dict[str, Any]:
    """Return the metadata of the only materialization of a run."""
    assert made.success, [
        event.step_failure_data.user_failure_data for event in made.all_events if event.is_step_failure
    ]
    (event,) = made.get_asset_materialization_events()
    return {name: entry.value for name, entry in event.materialization.metadata.items()}


@pytest.mark.slow
def test_the_jobs_group_train_and_count_and_their_metadata_hold_no_name(people: People) -> None:
    grouped = metadata_of(people.run("group_people", "face_clusters")[0])
    assert grouped["faces"] >= 235
    assert grouped["people"] == 0
    with people.lab.engine.begin() as connection:
        clusters = list_clusters(connection, kind="unknown").clusters
        for number, cluster in enumerate(clusters):
            label(connection, cluster.id, f"Zebedee {number}")
    assert grouped["unknown_clusters"] == len(clusters) >= 12
    trained = metadata_of(people.run("train_people", "matching_head")[0])
    assert trained["people"] >= 10
    counted = metadata_of(people.run("group_people", "people")[0])
    assert counted["dagster/row_count"] == len(clusters)
    for found in (grouped, trained, counted):
        assert "Zebedee" not in str(found)


def test_the_config_of_a_request_reaches_the_grouping(people: People) -> None:
    config = {"ops": {"face_clusters": {"config": {"person_threshold": 0.9, "unknown_method": "agglomerative"}}}}
    strict = metadata_of(people.run("group_people", "face_clusters", run_config=config)[0])
    usual = metadata_of(people.run("group_people", "face_clusters")[0])
    assert strict["threshold_cosine"] > usual["threshold_cosine"]
    wrong = {"ops": {"face_clusters": {"config": {"unknown_method": "k-means"}}}}
    made = people.run("group_people", "face_clusters", run_config=wrong)[0]
    assert not made.success
    assert "hdbscan, dbscan or agglomerative" in str([event for event in made.all_events if event.is_step_failure])


@pytest.mark.parametrize(
    ("job", "asset", "partition"),
    [
        ("find_faces", "faces", "tech"),
        ("group_people", "face_clusters", None),
        # The training needs names of people. The first test of this module gives these names.
        pytest.param("train_people", "matching_head", None, marks=pytest.mark.slow),
        ("group_people", "people", None),
    ],
)
def test_a_step_reads_and_writes_only_what_its_asset_declares(
    people: People, job: str, asset: str, partition: str | None
) -> None:
    given = {} if partition is None else {"partition_key": partition}
    made, touched = people.run(job, asset, **given)
    metadata_of(made)
    specs = {spec.key.to_user_string(): spec for spec in defs().resolve_all_asset_specs()}
    deps = {dep.asset_key.to_user_string() for dep in specs[asset].deps}
    # Services of earlier tests may still run in this process and read releases. The test therefore compares only the
    # tables.
    tables = {name for name in touched.reads - set(UNOWNED) if " " not in name}
    read = {OWNER[name] for name in tables} - {asset}
    allowed = deps | {owner for reader, owner in BACKWARD if reader == asset}
    assert read <= allowed
    assert {OWNER[name] for name in touched.writes - set(UNOWNED)} <= {asset}


@pytest.mark.parametrize(("body", "config"), [(ClusterFacesRequest, Grouping), (TrainFacesRequest, Training)])
def test_the_body_of_a_request_has_the_fields_and_defaults_of_the_config_that_it_becomes(
    body: type[BaseModel], config: type[dg.Config]
) -> None:
    def fields(model: type[BaseModel]) -> dict[str, tuple[Any, Any]]:
        return {name: (field.default, _kinds(field.annotation)) for name, field in model.model_fields.items()}

    assert {name: about for name, about in fields(body).items() if name != "queue"} == fields(config)


def _kinds(annotation: Any) -> set[type]:
    """Return the types that a field accepts.

    For a number with limits, the limits are ignored. For a choice between fixed texts, the type is `str`.
    """
    parts = get_args(annotation) or (annotation,)
    if get_origin(annotation) is Literal:
        return {type(part) for part in parts}
    if get_origin(annotation) is Annotated:
        return _kinds(parts[0])
    return {annotation} if len(parts) == 1 else set().union(*map(_kinds, parts))
