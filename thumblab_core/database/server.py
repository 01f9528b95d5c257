"""The URL of the database: an external server where one is set, else the lab's own, started when it is asked for."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thumblab_core.database.external import external_url
from thumblab_core.embedded_postgres import cluster, location, owner, watcher
from thumblab_core.errors import LabError
from thumblab_core.settings import Settings
from thumblab_core.settings import settings as current_settings

if TYPE_CHECKING:
    import psycopg
    from sqlalchemy import URL

_NAME = "thumblab"
_PATIENCE = 30.0
"""Seconds that a server which has just been started, or is recovering, may take to answer."""

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
        return _external(settings).render_as_string(hide_password=False)
    return _embedded(settings, _NAME, "psycopg")


def running_database_url(settings: Settings | None = None) -> str | None:
    """As `database_url`, for those who can do without: starts and makes nothing, and holds no server up.

    None where the embedded server does not run. Raises LabError when the setting is no URL of PostgreSQL.
    """
    settings = settings or current_settings()
    if settings.database_url is not None:
        return _external(settings).render_as_string(hide_password=False)
    with _folder_errors(settings):
        home = location.find_home(settings.data_dir)
        if home is None or not cluster.reachable(home):
            return None
        return _embedded_url(home, _NAME, "psycopg")


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
        _make_database(_access(external), name, patience=0)
        _connect(_access(external.set(database=name)), patience=0).close()  # a pooler may not lead there
        _ready.add(named)
    return named


def start(keep: bool, settings: Settings | None = None) -> str:
    """Start the embedded server and return its URL; with `keep` it stays up after this process, until `stop`.

    Raises LabError as `database_url` does, and when the setting names an external server.
    """
    settings = _only_embedded(settings)
    with _folder_errors(settings):
        cluster.use(location.make_home(settings.data_dir), keep)
    return database_url(settings)


def stop(force: bool = False, settings: Settings | None = None) -> bool:
    """Keep the embedded server no longer, and stop it now when no process uses it (`force`: even if some do).

    Returns whether it is stopped; if not, it stops with the last of its users. Raises LabError when it is an external one.
    """
    settings = _only_embedded(settings)
    with _folder_errors(settings):
        home = location.find_home(settings.data_dir)
        return home is None or cluster.release(home, force)


def take_over(settings: Settings | None = None) -> str | None:
    """Let this host run the embedded server, whichever host ran it last. Returns that host where it was another one.

    Raises LabError when its server still runs, as far as this machine knows, or the setting names an external one.
    """
    settings = _only_embedded(settings)
    with _folder_errors(settings):
        home = location.find_home(settings.data_dir)
        other = None if home is None else cluster.take_over(home)
        return None if other is None else owner.described(other)


def other_host(settings: Settings | None = None) -> str | None:
    """The other host that has the embedded server running, if there is one."""
    settings = settings or current_settings()
    with _folder_errors(settings):
        home = location.find_home(settings.data_dir) if settings.database_url is None else None
        other = None if home is None else owner.other_holder(home)
        return None if other is None else owner.described(other)


def status(settings: Settings | None = None) -> Status:
    """How the server stands; starts nothing."""
    settings = settings or current_settings()
    if settings.database_url is not None:
        return Status(embedded=False, running=_answers(settings), in_use=False, kept=False, folder=None)
    with _folder_errors(settings):
        home = location.find_home(settings.data_dir)
        if home is None:
            return Status(embedded=True, running=False, in_use=False, kept=False, folder=None)
        running = cluster.reachable(home)
        return Status(True, running, watcher.in_use(home), (home / "keep").exists(), home)


def _embedded(settings: Settings, name: str, driver: str) -> str:
    with _folder_errors(settings):
        home = location.make_home(settings.data_dir)
        cluster.use(home)
        folder = cluster.socket_dir(home)
    # The port too, or a PGPORT in the environment would be taken.
    access: dict[str, Any] = {"host": str(folder), "port": 5432, "user": "postgres"}
    key = f"{name} {home} {(home / 'data').stat().st_ino}"  # a folder deleted and made again is another database
    if key not in _ready:
        _make_database({**access, "dbname": "postgres"}, name, _PATIENCE)
        if name == _NAME:
            _make_extension({**access, "dbname": name})
        _ready.add(key)
    return _embedded_url(home, name, driver)


def _embedded_url(home: Path, name: str, driver: str) -> str:
    # The port too, or a PGPORT in the environment would be taken.
    return f"postgresql+{driver}://postgres@/{name}?host={cluster.socket_dir(home)}&port=5432"


def _external(settings: Settings, driver: str = "psycopg") -> "URL":
    assert settings.database_url is not None
    return external_url(settings.database_url.get_secret_value(), driver)


def _answers(settings: Settings) -> bool:
    try:
        _connect(_access(_external(settings)), patience=0).close()
    except LabError:
        return False
    return True


def _access(url: "URL") -> dict[str, Any]:
    """What libpq calls the parts of `url`."""
    _, parts = url.get_dialect()().create_connect_args(url)
    return dict(parts)


def _make_database(access: dict[str, Any], name: str, patience: float) -> None:
    """Make the database `name` where it is missing, over the database that `access` opens."""
    import psycopg
    from psycopg import sql

    with _connect(access, patience) as connection:
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone():
            return
        try:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
            return  # another process was first
        except psycopg.Error as error:
            raise LabError(
                f"The server of THUMBLAB_DATABASE_URL has no database {name} and does not let the lab make it "
                f"({error.diag.message_primary}). Have its administrator run: CREATE DATABASE {name}"
            ) from None


def _make_extension(access: dict[str, Any]) -> None:
    import psycopg

    with (
        _connect(access, _PATIENCE) as connection,
        suppress(psycopg.errors.UniqueViolation, psycopg.errors.DuplicateObject),
    ):
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")  # IF NOT EXISTS can still lose a race


def _connect(access: dict[str, Any], patience: float) -> "psycopg.Connection":
    """A connection without transactions; tries for `patience` seconds, in which a server may recover from a crash."""
    import psycopg
    from psycopg.conninfo import make_conninfo

    deadline = time.monotonic() + patience
    while True:
        try:
            return psycopg.connect(make_conninfo(**{"connect_timeout": 10, **access}), autocommit=True)
        except psycopg.Error as error:  # not only of connecting: libpq refuses what a URL says in other classes
            if time.monotonic() > deadline or not isinstance(error, psycopg.OperationalError):
                reason = (str(error).strip() or "no reason given").splitlines()[0]
                advice = "Try: thumblab db stop --force" if patience else "Check THUMBLAB_DATABASE_URL."
                raise LabError(f"The database does not answer: {reason}. {advice}") from None
        time.sleep(0.1)


def _only_embedded(settings: Settings | None) -> Settings:
    settings = settings or current_settings()
    if settings.database_url is not None:
        raise LabError("THUMBLAB_DATABASE_URL names a server that is not the lab's to start or stop. Unset it first.")
    return settings


@contextmanager
def _folder_errors(settings: Settings) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LabError(
            f"The database folder under {settings.data_dir} cannot be used: {error.filename or ''} {error.strerror}. "
            "Set THUMBLAB_DATA_DIR to a folder of your own."
        ) from error
