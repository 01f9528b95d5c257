"""Bring a database to the current schema by Alembic's migrations, and open it."""

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from thumblab_core.database.engine import explained, make_engine, reason_of
from thumblab_core.errors import LabError

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

_MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 7_204_115  # No other program uses this number for an advisory lock in this database.


def migrate(url: str) -> None:
    """Apply the missing migrations to the database at `url`. Several processes may do this at the same time.

    Raises LabError if the database cannot be reached, or if the lab's role lacks a right that the migrations need. Also
    raises LabError if a newer version of the lab has migrated the database.
    """
    from alembic import command
    from alembic.script import ScriptDirectory

    config = _config()
    engine = make_engine(url)
    try:
        with explained(), engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            _make_extension(connection)
            _refuse_newer(connection, ScriptDirectory.from_config(config))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        engine.dispose()


def open_database(url: str) -> Engine:
    """Migrate the database and return an engine. Raises LabError in the same cases as `migrate`."""
    migrate(url)
    return make_engine(url, pool_pre_ping=True)


def known_revisions() -> list[str]:
    """Return the schema versions that this version of the lab knows, the newest first."""
    from alembic.script import ScriptDirectory

    return [script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()]


def _config() -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    return config


def _refuse_newer(connection: Connection, scripts: "ScriptDirectory") -> None:
    """Raise LabError if the database has a revision that this version of the lab does not know."""
    from alembic.migration import MigrationContext

    known = {script.revision for script in scripts.walk_revisions()}
    for revision in MigrationContext.configure(connection).get_current_heads():
        if revision not in known:
            raise LabError(
                f"a newer version of the lab has changed this database ({revision}); install that version, or use another "
                "database"
            )


def _make_extension(connection: Connection) -> None:
    if connection.scalar(text("SELECT 1 FROM pg_extension WHERE extname = 'vector'")):
        return
    try:
        connection.execute(text("CREATE EXTENSION vector"))
    except DBAPIError as error:
        raise LabError(
            f"The database has no extension vector, and the lab cannot create it ({reason_of(error)}). Ask the "
            "server's administrator to install pgvector if it is missing, and to run in this database: "
            "CREATE EXTENSION vector"
        ) from None
