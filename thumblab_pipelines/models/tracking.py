"""MLflow: one run and one registered version per model release, logged once however often it is asked for."""

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

from thumblab_core.database.engine import HELD
from thumblab_core.errors import LabError
from thumblab_core.loopback import spare_loopback
from thumblab_core.releases.release import Release
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_pipelines.evaluation.questions import Evaluation
from thumblab_pipelines.models import tracked_run
from thumblab_pipelines.models.registry import RELEASE_TAG, ModelRegistry, Version
from thumblab_pipelines.training.config import Epoch

if TYPE_CHECKING:
    import httpx

    from thumblab_pipelines.lab import Lab
    from thumblab_pipelines.models.build import BuiltModel

_log = logging.getLogger(__name__)

NAME = "thumbnail-ranker"
"""Of the experiment and of the registered model."""

_KIND = {"mlflow.experimentKind": "custom_model_development"}
_VIEW = "?workflowType=machine_learning"
"""MLflow's page shows traces, prompts and judges unless it is told that models are trained here. 3.17 asks the address, or
else what the browser last chose, and not the kind of the experiment, which other versions ask."""

_LOCK = 7_204_117  # any number that no other program takes as an advisory lock in this database
_LONGEST_S = 900
_CODE = Path(__file__).parent.parent / "mlflow_ranker.py"
_METRICS_AT_ONCE = 1_000


@dataclass(frozen=True)
class Tracked:
    """Where a release is found in MLflow."""

    run_id: str
    version: str
    url: str
    reused: bool


class _BusyError(LabError):
    transient = True


def log_model(lab: Lab, tracker: Tracker, built: BuiltModel) -> Tracked:
    """Log what was built, see `Tracker.log`; one process of the lab at a time, others wait. Raises `LabError` also where the
    lab's database does not let it."""
    with _alone(lab.engine):
        return tracker.log(built.release, built.evaluations, built.history, lab.releases, lab.settings.dagster_url)


@contextmanager
def _alone(engine: Engine) -> Iterator[None]:
    """Keep other processes from logging, by a transaction that is asked nothing any more: that it dies is no matter."""
    with engine.connect() as connection:
        try:
            connection.execute(text(HELD))
            if not connection.scalar(text("SELECT pg_try_advisory_xact_lock(:lock)"), {"lock": _LOCK}):
                _log.warning("another process is logging a model to MLflow: waiting for it")
                connection.execute(text(f"SET LOCAL lock_timeout = {round(1_000 * _LONGEST_S)}"))
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        except SQLAlchemyError as error:
            raise _BusyError(
                "another process has been logging a model to MLflow for too long, or the database is out of reach "
                f"({type(error).__name__}); try again"
            ) from error
        try:
            yield
        finally:
            connection.invalidate()


class Tracker:
    """The MLflow server of the lab; `registry` is its registered model."""

    def __init__(self, client: Any, uri: str, name: str) -> None:
        self._client = client
        self._uri = uri
        self._name = name
        self.registry = ModelRegistry(client, name)

    @classmethod
    def connect(cls, uri: str, name: str = NAME) -> Self:
        """Raises `LabError` at once when nobody answers: better before the training than after it."""
        import httpx

        try:
            _http().get(f"{uri.rstrip('/')}/health").raise_for_status()
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

        spare_loopback()  # MLflow's client asks the proxy of the environment, also for this machine
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
        """Log the release as a run, register its model and make that the challenger; a finished one is only looked up.

        `store` has the pairs that the release names; the run links to its Dagster run below `dagster_url`. What a crash left
        of an earlier attempt is marked as failed first; so would be what another process is writing, hence `log_model`.
        """
        import mlflow

        earlier = self._finished(release)
        if earlier is not None:
            self.registry.challenge(earlier, release)  # a crash may have come before it
            return self._tracked(earlier, reused=True)
        origin = f"{dagster_url.rstrip('/')}/runs/{release.run_id}" if release.run_id else None
        by = f"[a Dagster run]({origin})" if origin else "hand"
        note = f"Model release `{release.release_id}`, trained by {by}."
        tags = {
            # With the release from the beginning: a crash right after it must leave a run that the next attempt finds.
            RELEASE_TAG: release.release_id,
            "dagster.run_id": release.run_id,
            "dagster.run_url": origin,
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
        self.registry.challenge(version, release)
        return self._tracked(version, reused=False)

    def page(self) -> str:
        """Where a person sees all runs."""
        return f"{self._uri}/#/experiments/{self._experiment()}{_VIEW}"

    def url(self, run_id: str) -> str:
        """Where a person sees the run."""
        return f"{self._uri}/#/experiments/{self._experiment()}/runs/{run_id}{_VIEW}"

    def _finished(self, release: Release) -> Version | None:
        """The version of the run that logged the release whole; attempts that did not get there are closed as failed."""
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
        told = [Metric(name, value, now, epoch) for name, value, epoch in tracked_run.epoch_metrics(history)]
        told += [Metric(name, value, now, 0) for name, value in tracked_run.metrics(figures).items()]
        for start in range(0, len(told), _METRICS_AT_ONCE):
            self._client.log_batch(run_id, metrics=told[start : start + _METRICS_AT_ONCE])
        inputs = [
            DatasetInput(
                Dataset(s.name, s.digest, "thumblab", json.dumps(s.where), profile=json.dumps(s.profile)),
                [InputTag("mlflow.data.context", "training")],
            )
            for s in tracked_run.sources(release, store)
        ]
        self._client.log_inputs(run_id, inputs)
        mlflow.log_table(tracked_run.table(figures), "evaluation.json")
        for name, plot in plots(history, figures, tracked_run.calibration(release)):
            mlflow.log_figure(plot, f"plots/{name}.png")

    def _experiment(self) -> str:
        from mlflow.exceptions import MlflowException

        found = self._client.get_experiment_by_name(self._name)
        if found is None:
            with suppress(MlflowException):  # another process makes it meanwhile
                self._client.create_experiment(self._name, tags=_KIND)
            found = self._client.get_experiment_by_name(self._name)
        for name, value in _KIND.items():  # one that is older than this tag, or was made by hand
            if found.tags.get(name) != value:
                self._client.set_experiment_tag(found.experiment_id, name, value)
        return str(found.experiment_id)

    def _tracked(self, version: Version, reused: bool) -> Tracked:
        return Tracked(version.run_id, version.number, self.url(version.run_id), reused)


@cache
def _http() -> httpx.Client:
    """One for the process: each reads the machine's certificates, which takes longer than the call."""
    import httpx

    return httpx.Client(timeout=10, trust_env=False)


def _signature(example: Any) -> Any:
    """Any number of rows like the example's, float32 [n, d], to as many scores, float32 [n]."""
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    inputs = TensorSpec(np.dtype("float32"), (-1, example.shape[1]))
    return ModelSignature(Schema([inputs]), Schema([TensorSpec(np.dtype("float32"), (-1,))]))
