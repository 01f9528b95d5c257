"""Test the models in MLflow. A person can compare the models in MLflow, and choose the served model by moving an alias.

The lab refuses to promote a new model that is worse than the served model.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from real_processes import REPOSITORY, RunningLab, url_from_outside, wait_until
from sqlalchemy import create_engine, text

from thumblab_core.releases.release import ALL, MODEL, Release
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_pipelines.models.build import BuiltModel
from thumblab_pipelines.models.tracking import NAME, Tracker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def launch(lab: RunningLab, job: str) -> dict[str, Any]:
    """Run the job `job` to its end. Then return the result of the function `served_model`."""
    launched = lab.graphql(
        """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
            __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
            ... on RunConfigValidationInvalid { errors { message } } } }""",
        params={"selector": {**REPOSITORY, "jobName": job}, "runConfigData": {}, "mode": "default"},
    )["launchRun"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    lab.wait_for_runs([launched["run"]["runId"]], 300)
    return served_model(lab)


def served_model(lab: RunningLab) -> dict[str, Any]:
    """Return the metadata of the last materialization of `served_model`, with the result of its check `promoted`."""
    latest = lab.graphql(
        """query($key: AssetKeyInput!) {
            assetNodeOrError(assetKey: $key) { ... on AssetNode { assetMaterializations(limit: 1) {
                metadataEntries { label ... on TextMetadataEntry { text } ... on FloatMetadataEntry { floatValue } } } } }
            assetCheckExecutions(assetKey: $key, checkName: "promoted", limit: 1) {
                status evaluation { severity description } } }""",
        key={"path": ["served_model"]},
    )
    [event] = latest["assetNodeOrError"]["assetMaterializations"]
    metadata = {entry["label"]: entry.get("text", entry.get("floatValue")) for entry in event["metadataEntries"]}
    return {**metadata, "check": latest["assetCheckExecutions"][0]}


@pytest.fixture(scope="module")
def mlflow(lab: RunningLab, trained: str) -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        patch.setenv("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        import mlflow

        before = mlflow.get_tracking_uri()
        mlflow.set_tracking_uri(lab.up.url("mlflow"))
        yield mlflow
        mlflow.set_tracking_uri(before)


@pytest.fixture(scope="module")
def store(lab: RunningLab, trained: str) -> ReleaseStore:
    return ReleaseStore(lab.data_dir / "releases")


@pytest.fixture(scope="module")
def two(lab: RunningLab, store: ReleaseStore, mlflow: Any) -> list[Release]:
    """The releases of two models. The run of the fixture `trained` made the first release.

    The second model was trained after every view count had grown by 1.
    """
    engine = create_engine(url_from_outside(lab.data_dir, "thumblab").replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.execute(text("UPDATE video_stats SET view_count = view_count + 1"))
    engine.dispose()
    launch(lab, "train_ranker")
    first, second = store.all(MODEL, ALL)
    return [first, second]


def test_two_trainings_are_compared_by_search_runs(
    lab: RunningLab, mlflow: Any, two: list[Release], store: ReleaseStore
) -> None:
    runs = mlflow.search_runs(experiment_names=[NAME], filter_string="metrics.future_all_model_auc > 0.5")
    by_release = runs.set_index("tags.thumblab.release_id")
    assert set(by_release.index) == {release.release_id for release in two}
    for release in two:
        row = by_release.loc[release.release_id]
        assert row["metrics.future_all_model_auc"] == pytest.approx(release.info["future_auc"])
        assert row["metrics.future_all_age_auc"] > 0
        assert row["params.pairs_release"] == release.info["pairs_release"]
        assert row["tags.dagster.run_url"] == f"{lab.up.url('dagster')}/runs/{release.run_id}"
    assert by_release["params.pairs_release"].nunique() == 2
    client = mlflow.MlflowClient()
    digests = {
        entry.dataset.digest
        for run_id in runs.run_id
        for entry in client.get_run(run_id).inputs.dataset_inputs
        if entry.dataset.name == "training_pairs"
    }
    assert len(digests) == 2

    metadata = served_model(lab)
    assert metadata["challenger"] == two[1].release_id
    assert metadata["release"] == store.serving.current_id(MODEL, ALL)
    assert "held-out pairs" in metadata["decision"]
    assert (metadata["check"]["status"] == "SUCCEEDED") == (metadata["release"] == two[1].release_id)


@pytest.fixture
def backwards(two: list[Release], store: ReleaseStore) -> Iterator[Release]:
    """A release that is newer than both releases of `two`.

    The model of this release is the second model of `two`, but ranks all pictures in the reverse order.
    """
    from thumblab_core.ranking.adapters import Adapters
    from thumblab_core.ranking.trained_ranker import TrainedRanker

    def write(folder: Path) -> None:
        trained = TrainedRanker.load(two[1])
        shutil.copytree(two[1].path, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("manifest.json"))
        trained.model.weights["unit"] = np.asarray(-trained.model.weights["unit"])
        replace(trained, adapters=Adapters()).save(folder)

    release = store.publish(MODEL, ALL, write, {**two[1].info, "inputs": "backwards"})
    yield release
    store.remove(release)


def test_a_challenger_that_is_worse_is_refused_with_its_figures(
    lab: RunningLab, mlflow: Any, store: ReleaseStore, backwards: Release, drawn: Callable[..., bytes]
) -> None:
    served = store.serving.current_id(MODEL, ALL)
    built = BuiltModel(backwards, reused=True)
    tracker = Tracker.connect(lab.up.url("mlflow"))
    tracked = tracker.log(backwards, built.evaluations, built.history, store, lab.up.url("dagster"))

    metadata = launch(lab, "serve_model")
    assert (metadata["challenger"], metadata["release"]) == (backwards.release_id, served)
    assert metadata["decision"].startswith(f"worse than {served} on package: AUC 0.")
    assert metadata["auc_difference_package"] < 0
    assert metadata["check"]["status"] == "FAILED"
    assert metadata["check"]["evaluation"] == {"severity": "WARN", "description": metadata["decision"]}

    client = mlflow.MlflowClient()
    aliases = client.get_registered_model(NAME).aliases
    assert aliases["challenger"] == tracked.version
    assert client.get_model_version(NAME, aliases["champion"]).tags["thumblab.release_id"] == served
    for tags in (client.get_model_version(NAME, tracked.version).tags, client.get_run(tracked.run_id).data.tags):
        assert tags["thumblab.promotion"] == f"not promoted: {metadata['decision']}"
    answer = lab.score("tech", {"a": drawn(1), "b": drawn(2)})
    assert answer.json()["releases"]["model"] == served


def test_a_person_who_moves_the_alias_moves_the_service(
    lab: RunningLab, mlflow: Any, store: ReleaseStore, two: list[Release], drawn: Callable[..., bytes]
) -> None:
    served = store.serving.current_id(MODEL, ALL)
    wanted = next(release for release in two if release.release_id != served)
    client = mlflow.MlflowClient()
    [version] = client.search_model_versions(f"name = '{NAME}' AND tags.`thumblab.release_id` = '{wanted.release_id}'")
    moved = httpx.post(
        f"{lab.up.url('mlflow')}/api/2.0/mlflow/registered-models/alias",
        json={"name": NAME, "alias": "champion", "version": version.version},
        timeout=30,
        trust_env=False,
    )
    assert moved.status_code == 200, moved.text

    def answered() -> bool:
        answer = lab.score("tech", {"a": drawn(1), "b": drawn(2)})
        assert answer.status_code == 200, answer.text
        return bool(answer.json()["releases"]["model"] == wanted.release_id)

    wait_until(answered, 90, "the service answers with the model that a person chose", every=0.5)
    wait_until(lambda: served_model(lab)["release"] == wanted.release_id, 30, "Dagster says so")
    assert served_model(lab)["decision"] == "served by hand: the champion alias was put on it"
    assert client.get_model_version_by_alias(NAME, "champion").version == version.version
    # The job keeps the person's choice, and does not serve the newest release again.
    launch(lab, "serve_model")
    assert store.serving.current_id(MODEL, ALL) == wanted.release_id
