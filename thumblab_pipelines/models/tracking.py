"""Log model releases to MLflow. Each release gets one run and one registered version, even if it is logged twice."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from thumblab_core.database.engine import NO_IDLE_TIMEOUT
from thumblab_core.database.lock_numbers import MLFLOW
from thumblab_core.errors import LabError
from thumblab_core.loopback import bypass_proxy_for_loopback
from thumblab_core.releases.release import Release
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_pipelines.evaluation.figures import Evaluation
from thumblab_pipelines.models import tracked_run
from thumblab_pipelines.models.registry import RELEASE_TAG, ModelRegistry, Version
from thumblab_pipelines.training.config import Epoch

if TYPE_CHECKING:
    import httpx

    from thumblab_pipelines.lab import Lab
    from thumblab_pipelines.models.build import BuiltModel

_log = logging.getLogger(__name__)

NAME = "thumbnail-ranker"
"""The name of the lab's experiment in MLflow, and of its registered model."""

_KIND = {"mlflow.experimentKind": "custom_model_development"}
_VIEW = "?workflowType=machine_learning"
"""A query at the end of a URL. It makes MLflow's page show model training instead of traces, prompts and judges.

Without this query, MLflow 3.17 shows the page that was last chosen in the same browser. Other versions of MLflow ignore
the query. Other versions choose the page by the kind of the experiment, see `_KIND`.
"""

_LONGEST_WAIT_S = 900
"""Seconds to wait for another process that is logging a model."""

_CODE = Path(__file__).parent.parent / "mlflow_ranker.py"
_METRICS_AT_ONCE = 1_000
"""Maximum number of metrics in one request to MLflow."""


@dataclass(frozen=True)
class Tracked:
    """The run and the version of a release in MLflow. `reused`: whether the release was already logged before."""

    run_id: str
    version: str
    url: str
    reused: bool


class _BusyError(LabError):
    transient = True


class _UnreachableError(LabError):
    transient = True  # `thumblab up` restarts MLflow within seconds, so a retry may succeed.


def log_model(lab: Lab, tracker: Tracker, built: BuiltModel) -> Tracked:
    """Wait until no other process logs a model. Then log the model `built`, as `Tracker.log` does.

    Raises `MlflowError` or another error of MLflow's client if `Tracker.log` fails. Raises `LabError` when another
    process logs for too long, or when the lab's database cannot be reached.
    """
    with _logging_lock(lab.engine):
        page = lab.settings.alert_dagster_url or lab.settings.dagster_url
        return tracker.log(built.release, built.evaluations, built.history, lab.releases, page)


@contextmanager
def _logging_lock(engine: Engine) -> Iterator[None]:
    """Hold a lock, so that no other process logs a model to MLflow.

    The lock belongs to a database transaction that writes nothing. So if the connection of the lock breaks, no data is
    lost.
    """
    with engine.connect() as connection:
        try:
            connection.execute(text(NO_IDLE_TIMEOUT))
            if not connection.scalar(text("SELECT pg_try_advisory_xact_lock(:lock)"), {"lock": MLFLOW}):
                _log.warning("waiting for another process that is logging a model to MLflow")
                connection.execute(text(f"SET LOCAL lock_timeout = {round(1_000 * _LONGEST_WAIT_S)}"))
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MLFLOW})
        except SQLAlchemyError as error:
            raise _BusyError(
                "another process has been logging a model to MLflow for too long, or the database cannot be reached "
                f"({type(error).__name__}); try again"
            ) from error
        try:
            yield
        finally:
            connection.invalidate()


class Tracker:
    """A client of the lab's MLflow server. `registry` is the registered model on this server."""

    def __init__(self, client: Any, uri: str, name: str) -> None:
        self._client = client
        self._uri = uri
        self._name = name
        self.registry = ModelRegistry(client, name)

    @classmethod
    def connect(cls, uri: str, name: str = NAME) -> Self:
        """Return a tracker for the server at `uri`. Raises `LabError` when the server does not answer.

        Call this method before the training if MLflow is needed after the training. So an error comes before the long
        training, and not after it.
        """
        import httpx

        try:
            _http().get(f"{uri.rstrip('/')}/health").raise_for_status()
        except httpx.HTTPError as error:
            raise _UnreachableError(
                f"MLflow does not answer at {uri} ({type(error).__name__}); start it with `thumblab up`, "
                "or set THUMBLAB_MLFLOW_TRACKING_URI"
            ) from None
        # Without the environment variables below, MLflow prints its own progress bars and links, which mix with the
        # output of the caller.
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        import mlflow

        bypass_proxy_for_loopback()  # Without this call, MLflow's client would use a proxy even for this machine.
        mlflow.set_tracking_uri(uri)
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        return cls(mlflow.MlflowClient(uri), uri.rstrip("/"), name)

    def log(
        self,
        release: Release,
        evaluations: list[Evaluation],
        history: list[Epoch],
        store: ReleaseStore,
        dagster_url: str,
    ) -> Tracked:
        """Log the release as a run, register its model, and move the `challenger` alias to this model.

        A release that was logged before is not logged again. `store` contains the pairs release that the model was
        trained on. The run in MLflow has a link to the run in Dagster. `dagster_url`: the URL of Dagster's pages, which
        is the beginning of this link.

        First, all unfinished runs of the release are marked as failed, because a crash may have interrupted them. This
        step would also mark a run that another process is still writing. So if other processes may log at the same
        time, call `log_model` instead.
        """
        import mlflow

        earlier = self._finished(release)
        if earlier is not None:
            # The call that logged this release may have crashed before it moved the alias, so the alias is moved again.
            self.registry.set_challenger(earlier, release)
            return self._tracked(earlier, reused=True)
        run_url = f"{dagster_url.rstrip('/')}/runs/{release.run_id}" if release.run_id else None
        trainer = f"[a Dagster run]({run_url})" if run_url else "hand"
        note = f"Model release `{release.release_id}`, trained by {trainer}."
        tags = {
            # The tags are set when the run is created. So after a crash at any moment, the next attempt finds the run.
            RELEASE_TAG: release.release_id,
            "dagster.run_id": release.run_id,
            "dagster.run_url": run_url,
            "mlflow.note.content": note,
            "mlflow.source.git.commit": tracked_run.commit(),
        }
        tags = {name: value for name, value in tags.items() if value is not None}
        with mlflow.start_run(experiment_id=self._experiment(), run_name=release.release_id, tags=tags) as run:
            self._log_content(run.info.run_id, release, evaluations, history, store)
            example = tracked_run.example(release)
            logged = mlflow.pyfunc.log_model(
                name="model",
                python_model=str(_CODE),
                artifacts={"release": str(release.path)},
                signature=_signature(example),
                input_example=example,
                pip_requirements=["thumblab"],
            )
        version = self.registry.register(release, logged.model_uri, run.info.run_id, logged.model_id, note)
        self.registry.set_challenger(version, release)
        return self._tracked(version, reused=False)

    def page(self) -> str:
        """Return the address of MLflow's page with all runs."""
        return f"{self._uri}/#/experiments/{self._experiment()}{_VIEW}"

    def url(self, run_id: str) -> str:
        """Return the address of MLflow's page of a run."""
        return f"{self._uri}/#/experiments/{self._experiment()}/runs/{run_id}{_VIEW}"

    def _finished(self, release: Release) -> Version | None:
        """Return the registered model's version in MLflow that was made from the release.

        Return None if no run has logged the release and registered it as a version. The runs of the release are
        searched until such a run is found. Each run that was searched before and is still running or has no version is
        marked as failed.
        """
        for run in self._client.search_runs([self._experiment()], f"tags.`{RELEASE_TAG}` = '{release.release_id}'"):
            if run.info.status not in ("FINISHED", "RUNNING"):
                continue
            version = self.registry.of_run(run.info.run_id)
            if run.info.status == "FINISHED" and version is not None:
                return version
            self._client.set_terminated(run.info.run_id, "FAILED")
        return None

    def _log_content(
        self, run_id: str, release: Release, evaluations: list[Evaluation], history: list[Epoch], store: ReleaseStore
    ) -> None:
        import mlflow
        from mlflow.entities import Dataset, DatasetInput, InputTag, Metric

        from thumblab_pipelines.models.plots import plots

        figures = tracked_run.figures(evaluations)
        mlflow.log_params(tracked_run.parameters(release))
        now = int(time.time() * 1_000)
        values = [Metric(name, value, now, epoch) for name, value, epoch in tracked_run.epoch_metrics(history)]
        values += [Metric(name, value, now, 0) for name, value in tracked_run.metrics(figures).items()]
        for start in range(0, len(values), _METRICS_AT_ONCE):
            self._client.log_batch(run_id, metrics=values[start : start + _METRICS_AT_ONCE])
        inputs = [
            DatasetInput(
                Dataset(
                    source.name,
                    source.digest,
                    "thumblab",
                    json.dumps(source.where),
                    profile=json.dumps(source.profile),
                ),
                [InputTag("mlflow.data.context", "training")],
            )
            for source in tracked_run.sources(release, store)
        ]
        self._client.log_inputs(run_id, inputs)
        mlflow.log_table(tracked_run.table(figures), "evaluation.json")
        for name, plot in plots(history, figures, tracked_run.calibration(release)):
            mlflow.log_figure(plot, f"plots/{name}.png")

    def _experiment(self) -> str:
        """Return the id of the experiment. If necessary, create the experiment and set its tags."""
        from mlflow.exceptions import MlflowException

        experiment = self._client.get_experiment_by_name(self._name)
        if experiment is None:
            with suppress(MlflowException):  # Another process may have created the experiment in the meantime.
                self._client.create_experiment(self._name, tags=_KIND)
            experiment = self._client.get_experiment_by_name(self._name)
        # The tags of `_KIND` are missing if a person or an older version of the lab created the experiment.
        for name, value in _KIND.items():
            if experiment.tags.get(name) != value:
                self._client.set_experiment_tag(experiment.experiment_id, name, value)
        return str(experiment.experiment_id)

    def _tracked(self, version: Version, reused: bool) -> Tracked:
        return Tracked(version.run_id, version.number, self.url(version.run_id), reused)


@cache
def _http() -> httpx.Client:
    """Return the HTTP client of the process. Creating a client reads all certificates, so it is created only once."""
    import httpx

    return httpx.Client(timeout=10, trust_env=False)


def _signature(example: Any) -> Any:
    """Return the MLflow signature of a model. The model takes float32 [n, d] and returns float32 [n].

    `example`: an input of the model [m, d].
    """
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    inputs = TensorSpec(np.dtype("float32"), (-1, example.shape[1]))
    return ModelSignature(Schema([inputs]), Schema([TensorSpec(np.dtype("float32"), (-1,))]))
