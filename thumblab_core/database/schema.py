"""Bring a database to the current schema by Alembic's migrations, and open it."""

from pathlib import Path

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from thumblab_core.database.engine import explained, make_engine
from thumblab_core.database.lock_numbers import MIGRATION
from thumblab_core.database.revisions import known_revisions, refuse_newer, revision_of
from thumblab_core.database.troubles import first_line
from thumblab_core.errors import LabError

_MIGRATIONS = Path(__file__).parent / "migrations"

_OLDEST = 13
"""The oldest version of PostgreSQL that pgvector 0.8 supports."""


def migrate(url: str) -> None:
    """Apply the missing migrations to the database at `url`. Several processes may do this at the same time.

    Raises LabError if the database cannot be reached, or if the lab's role lacks a right that the migrations need. Also
    raises LabError if a newer version of the lab has migrated the database.
    """
    engine = make_engine(url)
    try:
        with explained(), engine.begin() as connection:
            refuse_old(connection.dialect.server_version_info or (_OLDEST,))
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION})
            make_extension(connection)
            refuse_newer(connection)
            # For most commands, the tables are up to date already. The import of Alembic would take 1/6 of the time of
            # such a command.
            if revision_of(connection) != known_revisions()[0]:
                _upgrade(connection)
    finally:
        engine.dispose()


def open_database(url: str) -> Engine:
    """Migrate the database and return an engine. Raises LabError in the same cases as `migrate`."""
    migrate(url)
    return make_engine(url, pool_pre_ping=True)


def refuse_old(version: tuple[int | str, ...]) -> None:
    """Raise LabError if the server's `version`, such as (17, 2), is too old for the lab."""
    if int(version[0]) < _OLDEST:
        raise LabError(
            f"The server of THUMBLAB_DATABASE_URL is PostgreSQL {'.'.join(map(str, version))}, but the lab needs "
            f"{_OLDEST} or later. Upgrade the server, or unset THUMBLAB_DATABASE_URL to use the lab's own server"
        )


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def make_extension(connection: Connection) -> None:
    """Create the extension `vector` if it is missing. Raises LabError if the role may not create the extension."""
    if connection.scalar(text("SELECT 1 FROM pg_extension WHERE extname = 'vector'")):
        return
    try:
        connection.execute(text("CREATE EXTENSION vector"))
    except DBAPIError as error:
        raise LabError(
            f"The database has no extension vector, and the lab cannot create it ({first_line(error.orig or error)}). "
            "Ask the server's administrator to install pgvector if it is missing, and to run in this database: "
            "CREATE EXTENSION vector"
        ) from None
