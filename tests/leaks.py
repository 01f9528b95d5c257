"""Search logs, tables and files for the keys and tokens that tests use. `conftest.py` calls this after all tests."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy import create_engine, make_url, text

SECRETS = (
    "AIzaSecretOfTheTests",
    "GOCSPX-SecretOfTheClient",
    "1//RefreshTokenOfTheOwner",
    "key-of-the-demo-worth-nothing",
    "PasswordOfTheDatabase",
)
"""Every key, token and password that a test gives the lab."""

_INPUTS = {"owner.json"}
"""Names of files that tests write to give the lab a secret. A secret in such a file is not a leak."""


class Leaks(logging.Handler):
    """A log handler that keeps each log record that contains a secret, with its traceback and the name of the test."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        message = self.format(record)
        if any(secret in message for secret in SECRETS):
            self.found.append(f"{os.environ.get('PYTEST_CURRENT_TEST', 'between tests')}: {message}")


LEAKS = Leaks()
"""The handler that `conftest.py` adds to the root logger, for the whole session."""


def tables_with_a_secret(data_dir: Path) -> Iterator[str]:
    """Yield the names of all tables that contain a secret, in all databases of the data folder's embedded server.

    The databases are those of labs and of Dagster instances. The newest one is searched first. If no server ran in the
    folder, there are no databases.
    """
    from thumblab_core.database.urls import named_database_url
    from thumblab_core.embedded_postgres import location
    from thumblab_core.settings import Settings

    if location.find_home(data_dir) is None:
        return
    server = make_url(named_database_url("postgres", settings=Settings(data_dir=data_dir)))
    engine = create_engine(server)
    with engine.connect() as connection:
        names = list(
            connection.scalars(
                text("SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY oid DESC")
            )
        )
    engine.dispose()
    for name in names:
        yield from tables_of_database(server.set(database=name).render_as_string(hide_password=False))


def tables_of_database(url: str) -> list[str]:
    """Return the names of those tables of a database in which any column of any row contains a secret."""
    address = make_url(url)
    patterns = [f"%{secret}%" for secret in SECRETS]
    # The tests make hundreds of databases. SQLAlchemy sends five extra queries on its first connection to each of them.
    # So this function uses psycopg.
    with psycopg.connect(
        host=str(address.query["host"]), port=5432, user=address.username, dbname=address.database
    ) as connection:
        # Most tables of most databases are empty. PostgreSQL would need most of the time to plan a search through them.
        names = connection.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace "
            "AND pg_relation_size(oid) > 0 ORDER BY 1"
        ).fetchall()
        each = [
            sql.SQL("SELECT {} WHERE EXISTS (SELECT FROM {} AS t WHERE t::text LIKE ANY({}))").format(
                sql.Literal(name), sql.Identifier("public", name), patterns
            )
            for (name,) in names
        ]
        if not each:
            return []
        return [f"{address.database}.{name}" for (name,) in connection.execute(sql.SQL(" UNION ALL ").join(each))]


def files_with_a_key(folder: Path) -> list[str]:
    """Return the paths of all files under a folder that contain the YouTube key.

    Files in which a test gives the key to the lab are left out.
    """
    return [
        str(path)
        for path in folder.rglob("*")
        if path.is_file() and path.name not in _INPUTS and SECRETS[0].encode() in path.read_bytes()
    ]
