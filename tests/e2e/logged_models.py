"""Log models to the session's MLflow server, under a name that only the tests use."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from real_processes import RunningLab

from thumblab_core.releases.release import Release
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_pipelines.models.build import BuiltModel
from thumblab_pipelines.models.tracking import Tracked, Tracker

NAME = "test-ranker"
"""The name of the MLflow experiment and of the registered model of `connected_tracker`."""

DAGSTER = "http://127.0.0.1:3000"


@contextmanager
def connected_tracker(lab: RunningLab) -> Iterator[Tracker]:
    """Yield a tracker, which logs models to the session's MLflow server.

    The tracker has its own MLflow experiment and its own registered model. In the end, this model and the runs of this
    MLflow experiment are deleted.
    """
    import mlflow

    with pytest.MonkeyPatch.context() as patch:
        # `Tracker.connect` sets these variables for the whole process. `patch` sets the variables first, so that it can
        # restore their old values.
        patch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        patch.setenv("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        before = mlflow.get_tracking_uri()
        yield Tracker.connect(lab.up.url("mlflow"), NAME)
        client = mlflow.MlflowClient()
        for run in client.search_runs([client.get_experiment_by_name(NAME).experiment_id]):
            client.delete_run(run.info.run_id)
        client.delete_registered_model(NAME)
        mlflow.set_tracking_uri(before)


def log_release(tracker: Tracker, release: Release, store: ReleaseStore) -> Tracked:
    built = BuiltModel(release, reused=True)
    return tracker.log(release, built.evaluations, built.history, store, DAGSTER)
