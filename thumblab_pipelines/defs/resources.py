"""The resources of the assets: the lab and its MLflow server."""

import time
from functools import lru_cache
from pathlib import Path

import dagster as dg
from pydantic import Field, PrivateAttr

from thumblab_core.database.urls import database_url
from thumblab_core.settings import Settings, settings
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.models.tracking import Tracker
from thumblab_pipelines.progress import Progress

_LOG_SECONDS = 5.0
"""Seconds between two log lines about the progress of a step."""


class LabResource(dg.ConfigurableResource):
    """The lab of this process's settings, or the one in `data_dir`.

    Dagster makes a resource for every tick of a sensor; the lab is opened and its database migrated once in a process.
    """

    data_dir: str = Field(
        default="",
        description="The lab's data folder, which then has its own database and releases. Empty: the lab of the settings.",
    )
    _settings: Settings | None = PrivateAttr(default=None)
    _listener: Progress | None = PrivateAttr(default=None)

    @classmethod
    def in_this_process(cls, chosen: Settings, listener: Progress) -> dg.ResourceDefinition:
        """Return the resource for a caller that runs assets in its own process, with its settings and its listener.

        Dagster copies a configurable resource without its private attributes, so it is wrapped as a fixed value.
        """
        resource = cls()
        resource._settings, resource._listener = chosen, listener
        return dg.ResourceDefinition.hardcoded_resource(resource)

    def open(self) -> Lab:
        chosen = self._settings or settings()
        if self.data_dir:
            chosen = chosen.in_folder(Path(self.data_dir))
        # The URL is computed on every call, which starts an embedded server that has died again.
        return _opened(chosen, database_url(chosen))

    def progress(self, context: dg.AssetExecutionContext | dg.OpExecutionContext) -> Progress:
        """Return a listener that logs every few seconds, so that the UI shows a long step moving."""
        last_logged = time.monotonic()

        def listen(what: str, done: int, total: int) -> None:
            nonlocal last_logged
            if self._listener is not None:
                self._listener(what, done, total)
            if time.monotonic() - last_logged >= _LOG_SECONDS:
                last_logged = time.monotonic()
                context.log.info(f"{what}: {done} of {total}")

        return listen


@lru_cache(maxsize=1)
def _opened(chosen: Settings, url: str) -> Lab:  # the URL is part of the key: see `LabResource.open`
    return Lab.open(chosen)


class MlflowResource(dg.ConfigurableResource):
    """The MLflow server."""

    tracking_uri: str = Field(default="", description="The server's address. Empty: the one of the settings.")

    def connect(self) -> Tracker:
        return Tracker.connect(self.tracking_uri or settings().mlflow_url)


@dg.definitions
def resources() -> dg.Definitions:
    # Steps run in one process: each costs milliseconds, where a process of its own takes over a second.
    return dg.Definitions(resources={"lab": LabResource(), "mlflow": MlflowResource()}, executor=dg.in_process_executor)
