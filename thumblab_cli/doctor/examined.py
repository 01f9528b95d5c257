"""The class `Examined`: the lab's settings, the machine and a database connection, for the checks of the doctor."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from thumblab_cli.doctor.machine import Machine
from thumblab_core.errors import LabError
from thumblab_core.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy import Connection

_CONNECT_SECONDS = 5
_QUERY_SECONDS = 5
_CHANGE_SECONDS = 5.0
"""The longest wait for an embedded server that is starting or stopping, for example because a command has just ended."""


class NotRunningError(LabError):
    """The error for an embedded database that does not run.

    A stopped database is no fault, because a command that needs the database starts it.
    """


@dataclass(frozen=True)
class Examined:
    """The lab that the doctor examines.

    `demo`: whether the lab is a demo's lab. `catalogue`: the catalogue of the demo's lab, or None for the synthetic
    catalogue.
    """

    settings: Settings
    machine: Machine
    demo: bool = False
    catalogue: Path | None = None

    def command(self, command: str) -> str:
        """Return the shell command that has the effect of the subcommand `command` on this lab.

        For a demo's lab, the result is always `thumblab demo`, which makes everything that is missing.
        """
        return f"thumblab demo{self._catalogue}" if self.demo else f"thumblab {command}"

    def up(self, command: str = "up") -> str:
        """Return the shell command that runs the subcommand `command` on this lab.

        The subcommand must have the option `--demo`.
        """
        return f"thumblab {command} --demo{self._catalogue}" if self.demo else f"thumblab {command}"

    @property
    def exists(self) -> bool:
        """Whether the lab exists: it has a data folder, or its settings have the URL of an external database."""
        return self.settings.data_dir.is_dir() or self.settings.database_url is not None

    @property
    def has_dagster(self) -> bool:
        """Whether a Dagster of this lab is known, from a running `thumblab up` or from the settings."""
        return self.dagster_page is not None

    @property
    def dagster_page(self) -> str | None:
        """The address of Dagster's UI without a user name and a password, or None if no Dagster of this lab is known."""
        from thumblab_serving.dagster_runs.graphql import DagsterGraphql

        return DagsterGraphql(self.settings).page

    @property
    def is_scheduled(self) -> bool:
        """Whether the lab is expected to refresh itself: it has a YouTube API key, or its Dagster runs."""
        return self.settings.youtube_api_key is not None or self.has_dagster

    @property
    def _catalogue(self) -> str:
        return f" --catalogue {self.catalogue}" if self.catalogue else ""

    @contextmanager
    def database(self) -> Iterator["Connection"]:
        """Yield a read-only connection in a transaction that is rolled back at the end. Nothing is started or migrated.

        Raises NotRunningError if the embedded server does not run, and LabError if the database does not answer.
        """
        from sqlalchemy import text

        from thumblab_core.database.engine import explained

        connection = self._connected()
        try:
            with explained():
                connection.execute(text("SET TRANSACTION READ ONLY"))
                connection.execute(text(f"SET LOCAL statement_timeout = '{_QUERY_SECONDS}s'"))
                yield connection
                connection.rollback()
        except LabError:
            if self._stops():
                raise NotRunningError("the lab's own database has just stopped, because no command uses it") from None
            raise
        finally:
            connection.close()
            connection.engine.dispose()

    def _connected(self) -> "Connection":
        """Return a connection to the database. If the embedded server is just starting or stopping, wait until it has
        started or stopped.
        """
        from sqlalchemy.pool import NullPool

        from thumblab_core.database.engine import explained, make_engine
        from thumblab_core.database.urls import running_database_url

        deadline = time.monotonic() + _CHANGE_SECONDS
        while True:
            url = running_database_url(self.settings)
            if url is None:
                raise NotRunningError("the lab's own database does not run; it starts when a command needs it")
            try:
                with explained():
                    options = {"connect_timeout": _CONNECT_SECONDS}
                    return make_engine(url, poolclass=NullPool, connect_args=options).connect()
            except LabError:
                if self.settings.database_url is not None or time.monotonic() > deadline:
                    raise
            time.sleep(0.1)

    def _stops(self) -> bool:
        """Return whether the lab's embedded server is stopping now."""
        from thumblab_core.database.urls import running_database_url

        deadline = time.monotonic() + _CHANGE_SECONDS
        while self.settings.database_url is None and time.monotonic() < deadline:
            if running_database_url(self.settings) is None:
                return True
            time.sleep(0.1)
        return False
