"""Promises of the tracker against a real MLflow server."""

from collections.abc import Iterator
from typing import Any

import pytest
from real_processes import RunningLab, free_ports

from thumblab_core.errors import LabError
from thumblab_core.releases import ALL, MODEL, Release, ReleaseStore
from thumblab_pipelines.steps import tracking
from thumblab_pipelines.steps.ranking import BuiltModel
from thumblab_pipelines.steps.tracking import Tracker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.filterwarnings("ignore:.*input example")]


def test_without_a_server_the_tracker_says_at_once_how_to_start_one() -> None:
    uri = f"http://127.0.0.1:{free_ports(1)[0]}"
    with pytest.raises(LabError, match="thumblab up") as raised:
        Tracker.connect(uri)
    assert uri in str(raised.value)
    assert "THUMBLAB_MLFLOW_TRACKING_URI" in str(raised.value)


@pytest.fixture
def release(lab: RunningLab, trained: str) -> Release:
    found = ReleaseStore(lab.data_dir / "releases").current(MODEL, ALL)
    assert found is not None
    return found


@pytest.fixture
def tracker(lab: RunningLab, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tracker]:
    """On the session's server, under names of its own."""
    import mlflow

    # What `connect` would set for good goes with the test.
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    monkeypatch.setenv("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setattr(tracking, "EXPERIMENT", "test-ranker")
    monkeypatch.setattr(tracking, "MODEL", "test-ranker")
    before = mlflow.get_tracking_uri()
    yield Tracker.connect(lab.up.url("mlflow"))
    mlflow.set_tracking_uri(before)


def kept(client: Any) -> tuple[list[str], list[str]]:
    """The states of the runs of the experiment, and the versions of the model."""
    experiment = client.get_experiment_by_name("test-ranker")
    runs = client.search_runs([experiment.experiment_id])
    versions = client.search_model_versions("name = 'test-ranker'")
    return sorted(run.info.status for run in runs), [version.version for version in versions]


def test_a_release_is_logged_once_however_often_it_is_asked_for(tracker: Tracker, release: Release) -> None:
    import mlflow

    client = mlflow.MlflowClient()
    built = BuiltModel(release, reused=True)
    with pytest.raises(LabError, match="materialize ranking_model again"):
        tracker.crown(release)

    first = tracker.log(release, built.evaluations, built.history)
    second = tracker.log(release, built.evaluations, built.history)
    assert (first.reused, second.reused) == (False, True)
    assert (first.run_id, first.version, first.url) == (second.run_id, second.version, second.url)
    assert kept(client) == (["FINISHED"], ["1"])
    assert client.get_registered_model("test-ranker").aliases == {"challenger": "1"}

    run = client.get_run(first.run_id)
    assert run.data.params["pairs_release"] == release.info["pairs_release"]
    assert len(client.get_metric_history(first.run_id, "pair_loss")) == len(built.history)

    tracker.crown(release)
    assert client.get_registered_model("test-ranker").aliases == {"challenger": "1", "champion": "1"}


@pytest.mark.parametrize("left", ["a run that was only begun", "a run that was never registered"])
def test_what_a_crash_left_is_closed_as_failed_and_logged_anew(tracker: Tracker, release: Release, left: str) -> None:
    import mlflow

    client = mlflow.MlflowClient()
    built = BuiltModel(release, reused=True)
    logged = tracker.log(release, built.evaluations, built.history)
    client.delete_model_version("test-ranker", logged.version)
    if left == "a run that was only begun":
        client.delete_run(logged.run_id)
        experiment = client.get_experiment_by_name("test-ranker").experiment_id
        logged_run = client.create_run(experiment, tags={"thumblab.release_id": release.release_id}).info.run_id
    else:
        logged_run = logged.run_id
    again = tracker.log(release, built.evaluations, built.history)
    assert not again.reused
    assert client.get_run(logged_run).info.status == "FAILED"
    states, versions = kept(client)
    assert (states.count("FINISHED"), "RUNNING" in states, versions) == (1, False, [again.version])


def test_a_crash_before_the_alias_is_made_good_by_asking_again(tracker: Tracker, release: Release) -> None:
    import mlflow

    client = mlflow.MlflowClient()
    built = BuiltModel(release, reused=True)
    logged = tracker.log(release, built.evaluations, built.history)
    client.delete_registered_model_alias("test-ranker", "challenger")
    assert tracker.log(release, built.evaluations, built.history).reused
    assert client.get_model_version_by_alias("test-ranker", "challenger").version == logged.version
