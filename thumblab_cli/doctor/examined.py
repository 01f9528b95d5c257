"""Give the checks of the doctor what they examine: the lab's settings, the machine, and a connection to the database."""

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


class NotRunningError(LabError):
    """The error that is raised if the embedded database does not run. This is no fault: it starts when it is needed."""


@dataclass(frozen=True)
class Examined:
    """The lab that is examined. `demo` says whether it is a demo's lab, made of `catalogue` or of the drawn one."""

    settings: Settings
    machine: Machine
    demo: bool = False
    catalogue: Path | None = None

    def command(self, command: str) -> str:
        """Return the command that does for this lab what `thumblab COMMAND` does for the user's own lab.

        For a demo's lab, this is `thumblab demo`, which makes again whatever is missing.
        """
        return f"thumblab demo{self._catalogue}" if self.demo else f"thumblab {command}"

    def up(self, command: str = "up") -> str:
        """Return a command that has the option `--demo`, for this lab."""
        return f"thumblab {command} --demo{self._catalogue}" if self.demo else f"thumblab {command}"

    @property
    def exists(self) -> bool:
        """Whether the lab was made: its data folder, or for an external database the settings, show that."""
        return self.settings.data_dir.is_dir() or self.settings.database_url is not None

    @property
    def has_dagster(self) -> bool:
        """Whether a Dagster of this lab is known: that of a running `thumblab up`, or of the settings."""
        return self.dagster_page is not None

    @property
    def dagster_page(self) -> str | None:
        """The address of Dagster's UI without a user name and a password, or None if no Dagster of this lab is known."""
        from httpx import URL

        from thumblab_serving.dagster_runs.graphql import DagsterGraphql

        address = DagsterGraphql(self.settings).address
        return None if address is None else str(URL(address).copy_with(userinfo=b"")).rstrip("/")

    @property
    def is_scheduled(self) -> bool:
        """Whether a person expects the lab to refresh itself: it can ask YouTube, or its Dagster runs."""
        return self.settings.youtube_api_key is not None or self.has_dagster

    @property
    def _catalogue(self) -> str:
        return f" --catalogue {self.catalogue}" if self.catalogue else ""

    @contextmanager
    def database(self) -> Iterator["Connection"]:
        """Yield a connection that can only read, in a transaction that is rolled back. Nothing is started or migrated.

        Raises NotRunningError if the embedded server does not run, and LabError if the database does not answer.
        """
        from sqlalchemy import text
        from sqlalchemy.pool import NullPool

        from thumblab_core.database.engine import explained, make_engine
        from thumblab_core.database.urls import running_database_url

        url = running_database_url(self.settings)
        if url is None:
            raise NotRunningError("the lab's own database does not run; it starts when a command needs it")
        engine = make_engine(url, poolclass=NullPool, connect_args={"connect_timeout": _CONNECT_SECONDS})
        try:
            with explained(), engine.connect() as connection:
                connection.execute(text("SET TRANSACTION READ ONLY"))
                connection.execute(text(f"SET LOCAL statement_timeout = '{_QUERY_SECONDS}s'"))
                yield connection
                connection.rollback()
        finally:
            engine.dispose()
