"""Bring a database to the current schema, and open it."""

from pathlib import Path

from sqlalchemy import Engine, create_engine, text

_MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 7_204_115  # any number that no other program takes as an advisory lock in this database


def migrate(url: str) -> None:
    """Apply the migrations that the database at `url` lacks; several processes may do so at once."""
    from alembic import command
    from alembic.config import Config

    engine = create_engine(url)
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": _LOCK})
        connection.commit()
        try:
            config = Config()
            config.set_main_option("script_location", str(_MIGRATIONS))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()
        finally:
            connection.rollback()
            connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": _LOCK})
            connection.commit()
    engine.dispose()


def open_database(url: str) -> Engine:
    """An engine on a migrated database."""
    migrate(url)
    return create_engine(url, pool_pre_ping=True)
