"""Where the tests' own keys and tokens must never be found: looked for at the end of every session, see `conftest.py`."""

import logging
import os
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

_HAND_IN = {"owner.json"}
"""Files in which a test gives the lab a secret."""


class Leaks(logging.Handler):
    """Keeps every log record that shows a secret, with its traceback and the test it came in."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        told = self.format(record)
        if any(secret in told for secret in SECRETS):
            self.found.append(f"{os.environ.get('PYTEST_CURRENT_TEST', 'between tests')}: {told}")


LEAKS = Leaks()
"""Hears the loggers of the whole session."""


def tables_with_a_secret(data_dir: Path) -> list[str]:
    """Tables of any database on a data folder's own server that show a secret: the labs' own, and the events of those
    Dagster instances that have theirs there. None where no server was ever started."""
    from thumblab_core.database.server import named_database_url
    from thumblab_core.embedded_postgres import location
    from thumblab_core.settings import Settings

    if location.find_home(data_dir) is None:
        return []
    server = make_url(named_database_url("postgres", settings=Settings(data_dir=data_dir)))
    engine = create_engine(server)
    with engine.connect() as connection:
        names = list(
            connection.scalars(text("SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate"))
        )
    engine.dispose()
    urls = [server.set(database=name).render_as_string(hide_password=False) for name in names]
    return [found for url in urls for found in rows_with_a_secret(url)]


def rows_with_a_secret(url: str) -> list[str]:
    """Tables of a database in which any column of any row shows a secret."""
    address = make_url(url)
    patterns = [f"%{secret}%" for secret in SECRETS]
    # Not by SQLAlchemy, whose first connection asks five questions: a session has hundreds of databases.
    with psycopg.connect(
        host=str(address.query["host"]), port=5432, user=address.username, dbname=address.database
    ) as connection:
        names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1").fetchall()
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
    """Logs, events, releases and images under a folder that hold the key of YouTube, but for the files that hand it in."""
    return [
        str(path)
        for path in folder.rglob("*")
        if path.is_file() and path.name not in _HAND_IN and SECRETS[0].encode() in path.read_bytes()
    ]
