"""The URL of the database: an external server where one is set, else the lab's own, started when it is asked for."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from thumblab_core.database import cluster, root, watcher
from thumblab_core.errors import LabError
from thumblab_core.settings import Settings
from thumblab_core.settings import settings as current_settings

if TYPE_CHECKING:
    from sqlalchemy import URL

_NAME = "thumblab"

_ready: set[str] = set()
"""URLs of databases that this process has seen to exist."""


@dataclass(frozen=True)
class Status:
    """What `thumblab db status` shows."""

    embedded: bool
    running: bool
    in_use: bool
    """Whether some process holds it up; always False for an external server."""
    kept: bool
    """Whether it stays up without users, after `thumblab db start`."""
    folder: Path | None
    """Where the embedded cluster lies; None where it is external or was never started."""


def database_url(settings: Settings | None = None) -> str:
    """SQLAlchemy URL (`postgresql+psycopg://...`) of the lab's database.

    `THUMBLAB_DATABASE_URL` where it is set, without connecting. Else the embedded server, started when it does not run, its
    database and the extension `vector` made when missing; it stays up at least as long as this process.
    Raises LabError when the setting is no URL of PostgreSQL, or the embedded server cannot run.
    """
    settings = settings or current_settings()
    if settings.database_url is not None:
        return _external(settings, "psycopg").render_as_string(hide_password=False)
    return _embedded(settings, _NAME, "psycopg")


def named_database_url(name: str, driver: str = "psycopg", settings: Settings | None = None) -> str:
    """SQLAlchemy URL, with `driver`, of the database `name` on the same server, made when missing.

    For programs that keep tables of their own beside the lab's (MLflow, Dagster: driver `psycopg2`).
    Raises LabError as `database_url` does, and when an external server does not let the lab make the database.
    """
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", name):
        raise LabError(f"{name!r} is no name for a database: use lower-case letters, digits and underscores.")
    settings = settings or current_settings()
    if settings.database_url is None:
        return _embedded(settings, name, driver)
    external = _external(settings, driver)
    named = external.set(database=name).render_as_string(hide_password=False)
    if named not in _ready:
        _create(external, name)
        _ready.add(named)
    return named


def start(keep: bool, settings: Settings | None = None) -> str:
    """Start the embedded server and return its URL; with `keep` it stays up after this process, until `stop`.

    Raises LabError as `database_url` does, and when the setting names an external server.
    """
    settings = _only_embedded(settings)
    with _folder_errors(settings):
        cluster.use(root.make_home(settings.data_dir), keep)
    return database_url(settings)


def stop(force: bool = False, settings: Settings | None = None) -> bool:
    """Keep the embedded server no longer, and stop it now when no process uses it (`force`: even if some do).

    Returns whether it is stopped; if not, it stops with the last of its users. Raises LabError when it is an external one.
    """
    settings = _only_embedded(settings)
    with _folder_errors(settings):
        home = root.find_home(settings.data_dir)
        return home is None or cluster.release(home, force)


def status(settings: Settings | None = None) -> Status:
    """How the server stands; starts nothing."""
    settings = settings or current_settings()
    if settings.database_url is not None:
        return Status(embedded=False, running=_answers(_external(settings)), in_use=False, kept=False, folder=None)
    with _folder_errors(settings):
        home = root.find_home(settings.data_dir)
        if home is None:
            return Status(embedded=True, running=False, in_use=False, kept=False, folder=None)
        running = cluster.reachable(home)
        return Status(True, running, watcher.in_use(home), (home / "keep").exists(), home)


def _embedded(settings: Settings, name: str, driver: str) -> str:
    with _folder_errors(settings):
        home = root.make_home(settings.data_dir)
        cluster.use(home)
        folder = cluster.socket_dir(home)
    # The port too, or a PGPORT in the environment would be taken.
    url = f"postgresql+{driver}://postgres@/{name}?host={folder}&port=5432"
    key = f"{url} {(home / 'data').stat().st_ino}"
    if key not in _ready:
        from sqlalchemy import make_url

        _create(make_url(url), name)
        _ready.add(key)
    return url


def _external(settings: Settings, driver: str = "psycopg") -> "URL":
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    assert settings.database_url is not None
    try:
        url = make_url(settings.database_url.get_secret_value())
    except (ArgumentError, ValueError):  # `from None`: SQLAlchemy's own message shows the password
        raise LabError(
            "THUMBLAB_DATABASE_URL is not a URL. It looks like postgresql://USER:PASSWORD@HOST/DATABASE"
        ) from None
    if url.get_backend_name() not in ("postgresql", "postgres"):
        raise LabError(
            f"THUMBLAB_DATABASE_URL is for {url.get_backend_name()}; the lab needs PostgreSQL with pgvector. "
            "Unset it to use the embedded one."
        )
    return url.set(drivername=f"postgresql+{driver}")


def _create(url: "URL", name: str) -> None:
    """Make the database `name` on the server of `url` where it is missing, with pgvector where it is the lab's own."""
    import psycopg
    from psycopg import sql

    embedded = bool(url.query.get("host")) and url.username == "postgres" and not url.host
    admin = url.set(database="postgres") if embedded else url
    with _connect(admin, patience=15 if embedded else 0) as connection:
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone()
        if known is None:
            try:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                pass  # another process was first
            except psycopg.Error as error:
                raise LabError(
                    f"The server of THUMBLAB_DATABASE_URL has no database {name}, and the lab may not make it "
                    f"({error.diag.message_primary}). Have its administrator run: CREATE DATABASE {name}"
                ) from None
    if embedded and name == _NAME:
        with _connect(url, patience=15) as connection:
            try:
                connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
            except (psycopg.errors.UniqueViolation, psycopg.errors.DuplicateObject):
                pass
