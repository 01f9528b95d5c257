"""Define the resources that assets use: the lab and its MLflow server."""

import time
from functools import lru_cache
from pathlib import Path

import dagster as dg
from pydantic import Field, PrivateAttr

from thumblab_core.database.urls import database_url
from thumblab_core.errors import LabError
from thumblab_core.settings import Settings, settings
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.models.tracking import Tracker
from thumblab_pipelines.progress import Progress, in_words

_LOG_SECONDS = 5.0
"""Seconds between two log lines about the progress of a step."""


class LabResource(dg.ConfigurableResource):
    """A resource that opens the lab in the folder `data_dir`. If `data_dir` is empty, the resource opens the lab of the
    settings.

    Dagster creates a new resource for every tick of a sensor. The lab is still opened only once per process, because
    `_opened` caches it. The lab's database is also migrated only once.
    """

    data_dir: str = Field(
        default="",
        description="The path of a data folder with its own database and releases. Without a path, the lab of the "
        "settings is used.",
    )
    _settings: Settings | None = PrivateAttr(default=None)
    _listener: Progress | None = PrivateAttr(default=None)
    _used: Lab | None = PrivateAttr(default=None)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Check the config. The lab itself is opened by the first step or sensor that needs it, see `open`.

        A step can be retried if the database does not answer. A failure in this method would fail the whole run
        immediately.
        """
        if self.data_dir and not Path(self.data_dir).is_absolute():
            raise LabError(f"data_dir is {self.data_dir!r}; give the whole path, which begins with a slash")

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        """Close the idle connections after a run. The process may continue after the run, for example under `thumblab
        demo`.

        After the tick of a sensor the connections stay open, because the next tick needs them 15 seconds later.
        """
        if self._used is not None and context.run is not None:
            self._used.engine.dispose()

    @classmethod
    def in_this_process(cls, chosen: Settings, listener: Progress) -> dg.ResourceDefinition:
        """Return the resource for a caller that runs assets in its own process.

        `chosen`: the caller's settings. `listener`: receives the progress. The resource keeps the settings and the
        listener in private attributes. Dagster copies a configurable resource, and the copy would lack these
        attributes. So the resource is wrapped as a fixed value, which Dagster does not copy.
        """
        resource = cls()
        resource._settings, resource._listener = chosen, listener
        return dg.ResourceDefinition.hardcoded_resource(resource)

    def chosen(self) -> Settings:
        """Return the settings of the lab, without opening the lab."""
        chosen = self._settings or settings()
        return chosen.in_folder(Path(self.data_dir)) if self.data_dir else chosen

    def open(self) -> Lab:
        chosen = self.chosen()
        # `database_url` is called every time, because it starts the embedded database server again if the server has
        # stopped.
        self._used = _opened(chosen, database_url(chosen))
        return self._used

    def progress(self, context: dg.AssetExecutionContext | dg.OpExecutionContext) -> Progress:
        """Return a listener that logs the progress every few seconds, so that Dagster's UI shows it."""
        last_logged = time.monotonic()

        def listen(what: str, done: int, total: int) -> None:
            nonlocal last_logged
            if self._listener is not None:
                self._listener(what, done, total)
            if time.monotonic() - last_logged >= _LOG_SECONDS:
                last_logged = time.monotonic()
                context.log.info(in_words(what, done, total))

        return listen


# The URL is part of the cache's key. If the embedded database server was started again at another URL, the lab is
# opened again too.
@lru_cache(maxsize=1)
def _opened(chosen: Settings, url: str) -> Lab:
    return Lab.open(chosen)


class MlflowResource(dg.ConfigurableResource):
    """A resource that connects assets to the lab's MLflow server."""

    tracking_uri: str = Field(
        default="", description="The server's address. If it is empty, the address in the settings is used."
    )

    def connect(self) -> Tracker:
        return Tracker.connect(self.tracking_uri or settings().mlflow_url)


@dg.definitions
def resources() -> dg.Definitions:
    # All steps of a run share one process. A process for each step would take over a second to start, instead of
    # milliseconds.
    return dg.Definitions(resources={"lab": LabResource(), "mlflow": MlflowResource()}, executor=dg.in_process_executor)
