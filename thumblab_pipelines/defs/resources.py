"""What the assets are given: the lab of this process's settings, and MLflow."""

import time
from functools import lru_cache

import dagster as dg
from pydantic import PrivateAttr

from thumblab_core.database.server import database_url
from thumblab_core.settings import Settings, settings
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.models.tracking import Tracker
from thumblab_pipelines.progress import Progress

_QUIET_SECONDS = 5.0


class LabResource(dg.ConfigurableResource):
    """The lab of this process's settings. Dagster makes a resource anew for every tick of a sensor; the lab is opened and
    its database migrated once."""

    _listener: Progress | None = PrivateAttr(default=None)

    def listened_by(self, listener: Progress) -> "LabResource":
        """The same, with its progress told to the listener too: for a caller that runs assets in its own process."""
        self._listener = listener
        return self

    def open(self) -> Lab:
        chosen = settings()
        return _opened(chosen, database_url(chosen))  # asked each time: an embedded server that has died starts again

    def progress(self, context: dg.AssetExecutionContext | dg.OpExecutionContext) -> Progress:
        """A listener that logs every few seconds, so that a long step is seen to move in the UI."""
        last = time.monotonic()

        def listen(what: str, done: int, total: int) -> None:
            nonlocal last
            if self._listener is not None:
                self._listener(what, done, total)
            if time.monotonic() - last >= _QUIET_SECONDS:
                last = time.monotonic()
                context.log.info(f"{what}: {done} of {total}")

        return listen


@lru_cache(maxsize=1)
def _opened(chosen: Settings, url: str) -> Lab:
    return Lab.open(chosen)


class MlflowResource(dg.ConfigurableResource):
    """The MLflow server of the settings."""

    def connect(self) -> Tracker:
        return Tracker.connect(settings().mlflow_url)


@dg.definitions
def resources() -> dg.Definitions:
    # In one process: a step costs milliseconds then, where a process of its own costs over a second.
    return dg.Definitions(resources={"lab": LabResource(), "mlflow": MlflowResource()}, executor=dg.in_process_executor)
