"""MLflow: one run and one registered version per model release, logged once however often it is asked for."""

import logging
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from thumblab_core.errors import LabError
from thumblab_core.releases import Release
from thumblab_pipelines.steps.evaluate import Evaluation
from thumblab_pipelines.steps.recipe import Epoch

EXPERIMENT = "thumbnail-ranker"
MODEL = "thumbnail-ranker"
CHALLENGER, CHAMPION = "challenger", "champion"
_RELEASE_TAG = "thumblab.release_id"
_CODE = Path(__file__).parent.parent / "mlflow_ranker.py"


@dataclass(frozen=True)
class Tracked:
    """Where a release is found in MLflow."""

    run_id: str
    version: str
    url: str
    reused: bool


class Tracker:
    """The MLflow server of the lab."""

    def __init__(self, client: Any, uri: str) -> None:
        self._client = client
        self._uri = uri

    @classmethod
    def connect(cls, uri: str) -> Self:
        """Raises `LabError` at once when nobody answers: better before the training than after it."""
        import httpx

        try:
            httpx.get(f"{uri.rstrip('/')}/health", timeout=10, trust_env=False).raise_for_status()
        except httpx.HTTPError as error:
            raise LabError(
                f"MLflow does not answer at {uri} ({type(error).__name__}); start it with `thumblab up`, "
                "or set THUMBLAB_MLFLOW_TRACKING_URI"
            ) from None
        # Bars and links of its own would run into the caller's progress.
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        import mlflow

        mlflow.set_tracking_uri(uri)
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        return cls(mlflow.MlflowClient(uri), uri.rstrip("/"))

    def log(self, release: Release, evaluations: list[Evaluation], history: list[Epoch]) -> Tracked:
        """Log the release as a run, register its model and make that the challenger; a finished one is only looked up.

        What a crash left of an earlier attempt is marked as failed first.
        """
        import mlflow

        experiment = self._experiment()
        earlier = self._client.search_runs([experiment], f"tags.`{_RELEASE_TAG}` = '{release.release_id}'")
        for run in earlier:
            if run.info.status not in ("FINISHED", "RUNNING"):
                continue
            versions = self._client.search_model_versions(f"run_id = '{run.info.run_id}'")
            if run.info.status == "FINISHED" and versions:
                version = str(versions[0].version)
                self._client.set_registered_model_alias(MODEL, CHALLENGER, version)  # a crash may have come before it
                return self._tracked(experiment, run.info.run_id, version, reused=True)
            self._client.set_terminated(run.info.run_id, "FAILED")
        # Tagged as it is made: a crash right after it must leave a run that the next attempt finds.
        tags = {_RELEASE_TAG: release.release_id, "dagster.run_id": release.run_id or ""}
        with mlflow.start_run(experiment_id=experiment, run_name=release.release_id, tags=tags) as run:
            mlflow.log_params(
                {name: value for name, value in release.info.items() if not isinstance(value, dict | list)}
            )
            for epoch in history:
                metrics = {n: v for n, v in vars(epoch).items() if n != "epoch" and v is not None}
                mlflow.log_metrics(metrics, step=epoch.epoch)
            mlflow.log_metrics({f"{e.split}_{e.slice}_{e.scorer}_auc": e.auc for e in evaluations if e.auc is not None})
            logged = mlflow.pyfunc.log_model(
                name="model",
                python_model=str(_CODE),
                artifacts={"release": str(release.path)},
                signature=self._signature(release),
                pip_requirements=["thumblab"],
            )
        version = self._register(logged.model_uri, logged.model_id, run.info.run_id)
        self._client.set_registered_model_alias(MODEL, CHALLENGER, version)
        return self._tracked(experiment, run.info.run_id, version, reused=False)

    def crown(self, release: Release) -> Tracked:
        """Point the champion alias at the release's version. Raises `LabError` when it was never logged."""
        experiment = self._experiment()
        runs = self._client.search_runs([experiment], f"tags.`{_RELEASE_TAG}` = '{release.release_id}'")
        for run in runs:
            for version in self._client.search_model_versions(f"run_id = '{run.info.run_id}'"):
                self._client.set_registered_model_alias(MODEL, CHAMPION, version.version)
                return self._tracked(experiment, run.info.run_id, str(version.version), reused=True)
        raise LabError(f"MLflow has no model of {release}; materialize ranking_model again")

    def _experiment(self) -> str:
        from mlflow.exceptions import MlflowException

        found = self._client.get_experiment_by_name(EXPERIMENT)
        if found is not None:
            return str(found.experiment_id)
        try:
            return str(self._client.create_experiment(EXPERIMENT))
        except MlflowException:  # another process made it meanwhile
            return str(self._client.get_experiment_by_name(EXPERIMENT).experiment_id)

    def _register(self, uri: str, model_id: str, run_id: str) -> str:
        from mlflow.exceptions import MlflowException

        with suppress(MlflowException):  # it is there already
            self._client.create_registered_model(MODEL)
        return str(self._client.create_model_version(MODEL, uri, run_id, model_id=model_id).version)

    def _tracked(self, experiment: str, run_id: str, version: str, reused: bool) -> Tracked:
        return Tracked(run_id, version, f"{self._uri}/#/experiments/{experiment}/runs/{run_id}", reused)

    @staticmethod
    def _signature(release: Release) -> Any:
        import numpy as np
        from mlflow.models import ModelSignature
        from mlflow.types import Schema, TensorSpec

        from thumblab_core.ranker import TrainedRanker

        config = TrainedRanker.load(release).model.config
        inputs = TensorSpec(np.dtype("float32"), (-1, config.image_dimension + config.title_dimension))
        return ModelSignature(Schema([inputs]), Schema([TensorSpec(np.dtype("float32"), (-1,))]))
