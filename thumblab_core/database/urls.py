"""Find the URL of the lab's database.

The database is on the external server that the settings name. If the settings name no server, the database is on the
embedded server, which is started when a process needs it.
"""

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thumblab_core.database.connect import connect, parameters_of
from thumblab_core.database.external import external_url
from thumblab_core.database.named import find_or_make, make_database
from thumblab_core.embedded_postgres import cluster, location
from thumblab_core.embedded_postgres import server as embedded_server
from thumblab_core.errors import LabError
from thumblab_core.settings import Settings
from thumblab_core.settings import settings as current_settings

if TYPE_CHECKING:
    from sqlalchemy import URL

_NAME = "thumblab"
_PATIENCE = 30.0
"""How many seconds a server may take to answer after its start or during its recovery."""

_ready: set[str] = set()
"""The databases of embedded servers that this process has found or created.

An item has three parts: the name of the database, the folder of the cluster, and the inode of the folder `data` in the
cluster's folder.
"""
_external_places: dict[tuple["URL", str], "URL"] = {}
"""The databases and schemas of external servers that this process has found or created.

A key has two parts: the URL of the lab's database, and the name of the database or schema. The value is the URL of this
database or schema.
"""


@dataclass(frozen=True)
class Status:
    """The state of the database server, as `thumblab db status` shows it."""

    embedded: bool
    running: bool
    in_use: bool
    """Whether any process uses the embedded server. Always False for an external server."""
    kept: bool
    """Whether the embedded server runs even while no process uses it, because `thumblab db start` was called."""
    folder: Path | None
    """The folder of the embedded cluster, or None if the server is external or was never started."""
    trouble: str | None = None
    """Why the external server cannot be used. None if the server answers, and always None for the embedded server."""


def database_url(settings: Settings | None = None) -> str:
    """Return the SQLAlchemy URL (`postgresql+psycopg://...`) of the lab's database.

    If `THUMBLAB_DATABASE_URL` is set, this function only converts its value, and connects to nothing. Otherwise, the
    function starts the embedded server if the server does not run, and creates the database and the extension `vector`
    if they are missing. The embedded server then runs at least as long as this process.

    Raises LabError if the setting is not a URL of PostgreSQL, or if the embedded server cannot run.
    """
    settings = settings or current_settings()
    if settings.database_url is not None:
        return _external(settings).render_as_string(hide_password=False)
    return _embedded(settings, _NAME, "psycopg")


def running_database_url(settings: Settings | None = None) -> str | None:
    """Return the same URL as `database_url`, but start and create nothing.

    The embedded server may stop while this process runs, because this function does not mark the server as used.

    Returns None if the embedded server does not run. Raises LabError if the setting is not a URL of PostgreSQL.
    """
    settings = settings or current_settings()
    if settings.database_url is not None:
        return _external(settings).render_as_string(hide_password=False)
    with embedded_server.folder_errors(settings):
        home = location.find_home(settings.data_dir)
        if home is None or not cluster.reachable(home):
            return None
        return _embedded_url(home, _NAME, "psycopg")


def named_database_url(name: str, driver: str = "psycopg", settings: Settings | None = None) -> str:
    """Return the SQLAlchemy URL of the database `name` on the server of the lab's database.

    The database is created if it is missing. If the role may not create databases on an external server, the result is
    a URL of the schema `name` in the lab's database. A missing schema is created.

    MLflow and Dagster keep their own tables in such databases, and need the `driver` called `psycopg2`.

    Raises LabError in the same cases as `database_url`. Also raises LabError if an external server lets the lab create
    neither the database nor the schema.
    """
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", name):
        raise LabError(f"{name!r} is not a valid database name: use lower-case letters, digits and underscores.")
    settings = settings or current_settings()
    if settings.database_url is None:
        return _embedded(settings, name, driver)
    external = _external(settings, driver)
    key = (external, name)
    if key not in _external_places:
        _external_places[key] = find_or_make(external, name)
    return _external_places[key].render_as_string(hide_password=False)


def status(settings: Settings | None = None) -> Status:
    """Return the state of the database server without starting anything."""
    settings = settings or current_settings()
    if settings.database_url is not None:
        trouble = _trouble_of(settings)
        return Status(False, running=trouble is None, in_use=False, kept=False, folder=None, trouble=trouble)
    state = embedded_server.status(settings)
    return Status(True, state.running, state.in_use, state.kept, state.folder)


def _embedded(settings: Settings, name: str, driver: str) -> str:
    home = embedded_server.start(settings)
    with embedded_server.folder_errors(settings):
        folder = cluster.socket_dir(home)
    # The port is given too, so that a PGPORT in the environment has no effect.
    access: dict[str, Any] = {"host": str(folder), "port": 5432, "user": "postgres"}
    # The inode is part of the key, because a folder `data` that was deleted and made again does not have the database.
    key = f"{name} {home} {(home / 'data').stat().st_ino}"
    if key not in _ready:
        _make_database({**access, "dbname": "postgres"}, name)
        if name == _NAME:
            _make_extension({**access, "dbname": name})
        _ready.add(key)
    return _embedded_url(home, name, driver)


def _embedded_url(home: Path, name: str, driver: str) -> str:
    # The port is given too, so that a PGPORT in the environment has no effect.
    return f"postgresql+{driver}://postgres@/{name}?host={cluster.socket_dir(home)}&port=5432"


def _external(settings: Settings, driver: str = "psycopg") -> "URL":
    assert settings.database_url is not None
    url = external_url(settings.database_url.get_secret_value(), driver)
    if settings.database_password is None:
        return url
    if url.password is not None:
        raise LabError(
            "THUMBLAB_DATABASE_URL has a password already; remove it there, or unset THUMBLAB_DATABASE_PASSWORD"
        )
    return url.set(password=settings.database_password.get_secret_value())


def _trouble_of(settings: Settings) -> str | None:
    """Return why the external server cannot be used, or None if the server answers."""
    try:
        connect(parameters_of(_external(settings))).close()
    except LabError as error:
        return str(error)
    return None


def _make_database(access: dict[str, Any], name: str) -> None:
    """Create the database `name` of the embedded server if it is missing. `access` are connection parameters of another
    database on this server.
    """
    with connect(access, _PATIENCE) as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone():
            make_database(connection, name)


def _make_extension(access: dict[str, Any]) -> None:
    import psycopg

    with (
        connect(access, _PATIENCE) as connection,
        # Even with IF NOT EXISTS, the statement fails if another process creates the extension at the same time.
        suppress(psycopg.errors.UniqueViolation, psycopg.errors.DuplicateObject),
    ):
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
