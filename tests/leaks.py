"""Search logs, tables and files for keys and tokens that tests use. `conftest.py` calls this module after all tests."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy import URL, make_url

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
    """A log handler that records each log message that contains a secret.

    The handler also records the traceback of the message, and the name of the test that was running.
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        message = self.format(record)
        if any(secret in message for secret in SECRETS):
            self.found.append(f"{os.environ.get('PYTEST_CURRENT_TEST', 'between tests')}: {message}")


LEAKS = Leaks()
"""The handler that `conftest.py` adds to the root logger, for the whole session."""


def keep_values_readable(url: str) -> None:
    """Make the server of `url` store values uncompressed in all databases that it makes after this call.

    By default, PostgreSQL compresses the values of a row that has more than 2 kB. `tables_with_a_secret` could not find
    a secret in compressed values.
    """
    with _connected(make_url(url), "template1") as connection:
        connection.execute("SET allow_system_table_mods = on")
        connection.execute("UPDATE pg_type SET typstorage = 'e' WHERE typstorage = 'x'")
        newest = connection.execute("SELECT max(oid) FROM pg_database").fetchone()
        connection.execute(sql.SQL("COMMENT ON DATABASE template1 IS {}").format(str(newest[0])))


def tables_with_a_secret(data_dir: Path) -> Iterator[str]:
    """Yield the names of all tables that contain a secret.

    `data_dir` may contain a PostgreSQL server that a lab runs itself. The tables of all databases of this server are
    searched, the newest database first. The databases belong to labs and to Dagster instances. If no server ran in
    `data_dir`, there is nothing to search.
    """
    from thumblab_core.database.urls import named_database_url
    from thumblab_core.embedded_postgres import location
    from thumblab_core.settings import Settings

    home = location.find_home(data_dir)
    if home is None:
        return
    server = make_url(named_database_url("postgres", settings=Settings(data_dir=data_dir)))
    with _connected(server, "postgres") as connection:
        connection.execute("CHECKPOINT")  # After a checkpoint, the server's files contain all rows.
        databases = connection.execute(
            "SELECT oid::int, datname, oid <= coalesce(shobj_description(1, 'pg_database')::int, oid::int) "
            "FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY oid DESC"
        ).fetchall()
    # The tests make hundreds of databases. Connecting to each database and searching its tables would take minutes. So
    # the loop first searches the files of a database. It searches for halves of the secrets, because a file may contain
    # only a part of a secret. If the files contain no half, the loop does not connect to the database.
    for number, name, compressed in databases:
        if compressed or _has_a_piece(home / "data" / "base" / str(number)):
            yield from tables_of_database(server.set(database=name).render_as_string(hide_password=False))


# PostgreSQL stores a large value in pieces of 2 kB, so a secret may be cut into two pieces. One of the two pieces then
# contains the whole first half or the whole second half of the secret. It is therefore enough to search for the halves.
_PIECES = [half.encode() for one in SECRETS for half in (one[: len(one) // 2], one[len(one) // 2 :])]


def _has_a_piece(folder: Path) -> bool:
    """Return whether the files of a database's tables and indexes contain half of a secret, even in a deleted row.

    The names of these files start with a number. The files of PostgreSQL's own tables have numbers below 16384, and are
    not searched.
    """
    for path in folder.iterdir():
        number = path.name.split(".")[0]
        if number.isdecimal() and int(number) >= 16384:
            content = path.read_bytes()
            if any(piece in content for piece in _PIECES):
                return True
    return False


def tables_of_database(url: str) -> list[str]:
    """Return the names of the database's tables that contain a secret, in any column of any row."""
    address = make_url(url)
    patterns = [f"%{secret}%" for secret in SECRETS]
    with _connected(address, str(address.database)) as connection:
        # Most tables of most databases are empty. The condition on `pg_relation_size` leaves out the empty tables.
        # Without this condition, PostgreSQL would spend most of the time on planning searches of empty tables.
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


def _connected(server: URL, database: str) -> psycopg.Connection:
    # SQLAlchemy would send five extra queries on its first connection to each database, so this module uses psycopg.
    return psycopg.connect(
        host=str(server.query["host"]), port=5432, user=server.username, dbname=database, autocommit=True
    )


def files_with_a_key(folder: Path) -> list[str]:
    """Return the paths of all files under a folder that contain the YouTube key.

    The paths do not include the files with which a test gives the key to the lab.
    """
    return [
        str(path)
        for path in folder.rglob("*")
        if path.is_file() and path.name not in _INPUTS and SECRETS[0].encode() in path.read_bytes()
    ]
