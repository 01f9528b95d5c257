"""Dump the databases of a lab with pg_dump, and restore them with pg_restore.

The embedded server includes both programs. pg_dump also dumps an external server of the same version or an older
version. pg_restore restores only into PostgreSQL 17 or later, because it sets `transaction_timeout`, which version 17
introduced.
"""

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, make_url, text
from sqlalchemy.exc import DBAPIError

from thumblab_core.database.engine import explained, make_engine
from thumblab_core.database.schema import make_extension, migrate
from thumblab_core.database.troubles import first_line
from thumblab_core.database.urls import database_url, named_database_url
from thumblab_core.embedded_postgres import location
from thumblab_core.errors import LabError
from thumblab_core.settings import Settings

LAB = "thumblab"
NAMES = (LAB, "dagster", "mlflow")
"""The databases of a lab: its own tables, Dagster's runs and MLflow's registry."""

OLDEST = 17
"""The oldest version of PostgreSQL that a backup can be restored into."""

_VECTOR_SCHEMA = """
SELECT nspname FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace WHERE extname = 'vector'
"""
_WITHOUT_PROCESS = "SELECT run_id FROM runs WHERE status IN ('STARTING', 'STARTED', 'CANCELING')"


def url_of(settings: Settings, name: str) -> str:
    """Return the SQLAlchemy URL of the database `name`, which is one of `NAMES`."""
    return database_url(settings) if name == LAB else named_database_url(name, "psycopg", settings)


@contextmanager
def snapshot(url: str) -> Iterator[tuple[Connection, str]]:
    """Yield a connection whose transaction reads one snapshot of the database, and the id of this snapshot for pg_dump.

    Raises `LabError` if the database cannot be reached, or if it is reached through a transaction pooler.
    """
    engine = make_engine(url, isolation_level="REPEATABLE READ")
    try:
        with explained(), engine.connect() as connection:
            driver = connection.connection.driver_connection
            if driver is not None and driver.prepare_threshold is None:
                raise LabError(
                    "THUMBLAB_DATABASE_URL leads to a transaction pooler, through which pg_dump does not work; set it "
                    "to the address of the server itself for this command"
                )
            connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
            yield connection, str(connection.scalar(text("SELECT pg_export_snapshot()")))
    finally:
        engine.dispose()


def dump(url: str, file: Path, snapshot_id: str | None = None) -> None:
    """Write a dump of the schema with the lab's tables into a new file. By default, dump the present state.

    `snapshot_id`: the snapshot to dump instead. Raises `LabError` if the dump fails.
    """
    engine = make_engine(url)
    try:
        with explained(), engine.connect() as connection:
            schema = str(connection.scalar(text("SELECT current_schema()")))
    finally:
        engine.dispose()
    options = ["--format=custom", "--compress=1", "--no-owner", "--no-privileges", "--no-comments"]
    options += [f"--schema={_quoted(schema)}", f"--file={file}"]
    _run("pg_dump", url, options + ([f"--snapshot={snapshot_id}"] if snapshot_id else []))


def restore(url: str, file: Path) -> None:
    """Restore a dump into an empty database in one transaction. Raises `LabError` if the restore fails."""
    # `prepare` has already created the schema and the extension, so the dump's entries that create them are left out.
    entries = [line for line in _listed(file).splitlines() if not re.match(r"\d+; \d+ \d+ (SCHEMA|EXTENSION) ", line)]
    with tempfile.NamedTemporaryFile("w", suffix=".list") as wanted:
        wanted.write("\n".join(entries))
        wanted.flush()
        options = ["--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error"]
        _run("pg_restore", url, [*options, f"--use-list={wanted.name}"], str(file))


def require_readable(file: Path) -> None:
    """Raise `LabError` if pg_restore cannot read the table of contents of the dump."""
    _listed(file)


@dataclass(frozen=True)
class Layout:
    """The schemas that a dump uses. `tables`: the schema of the dump's tables, or None. `vector`: the schema of the
    type `vector`, or None."""

    tables: str | None
    vector: str | None

    @classmethod
    def of(cls, file: Path) -> "Layout":
        """Return the layout of a dump. Raises `LabError` if pg_restore cannot read it."""
        script = _printed(file, "--schema-only", "--file=-")
        return cls(_schema_in(r"^CREATE TABLE {}\.", script), _schema_in(r"^ +\S+ {}\.vector\b", script))


def require_fitting(url: str, name: str, layout: Layout) -> None:
    """Raise `LabError` unless a dump of this layout can be restored into a database of an external server."""
    engine = make_engine(url)
    try:
        with explained(), engine.connect() as connection:
            version = connection.dialect.server_version_info or (OLDEST,)
            schema = connection.scalar(text("SELECT current_schema()"))
            vector = connection.scalar(text(_VECTOR_SCHEMA))
    finally:
        engine.dispose()
    if int(version[0]) < OLDEST:
        raise LabError(
            f"the server of THUMBLAB_DATABASE_URL is PostgreSQL {'.'.join(map(str, version))}, but a backup can be "
            f"restored only into version {OLDEST} or later; upgrade the server, or unset THUMBLAB_DATABASE_URL to use "
            "the "
            "lab's own"
        )
    if layout.tables not in (None, schema):
        raise LabError(
            f"the backup has the tables of {name} in the schema {layout.tables}, but the server of "
            f"THUMBLAB_DATABASE_URL would use the schema {schema or 'none'}; {_remedy(name, layout.tables)}, or "
            "unset THUMBLAB_DATABASE_URL to use the lab's own server"
        )
    if layout.vector and vector and layout.vector != vector:
        raise LabError(
            f"the backup needs the extension vector in the schema {layout.vector}, and the database {name} has it in "
            f"{vector}; run in this database: ALTER EXTENSION vector SET SCHEMA {_quoted(layout.vector)}"
        )


def _remedy(name: str, schema: str) -> str:
    if name == LAB:
        return f"run CREATE SCHEMA {_quoted(schema)} there, and set the role's search_path to it"
    if schema == name:
        return f"run CREATE SCHEMA {name} in the lab's database, as the lab's role"
    return f"let an administrator run CREATE DATABASE {name}, owned by the lab's role, and drop the schema {name}"


def require_empty(url: str, name: str, stopped: bool = False) -> None:
    """Raise `LabError` if the database already has tables in the schema that the lab would use.

    `stopped`: whether an earlier restore was stopped. A stopped restore may have made the tables.
    """
    engine = make_engine(url)
    try:
        with explained(), engine.connect() as connection:
            table = connection.scalar(
                text("SELECT tablename FROM pg_tables WHERE schemaname = current_schema() LIMIT 1")
            )
    finally:
        engine.dispose()
    if table is not None and stopped:
        raise LabError(
            f"the database {name} has tables already (such as {table}), and an earlier restore was stopped; if the "
            f"stopped restore made these tables, drop the databases {make_url(url).database}, dagster and mlflow (or "
            f"the schemas of these names); then create the database {make_url(url).database} again, and run the same "
            "command"
        )
    if table is not None:
        raise LabError(
            f"the database {name} has tables already (such as {table}), and a lab is restored only into empty "
            "databases; set THUMBLAB_DATABASE_URL to another database, or unset it"
        )


def prepare(url: str, layout: Layout, own: bool) -> None:
    """Create the schemas that a dump of this layout needs. If the dump has vectors, also create the extension `vector`.

    `own`: whether the database is on the embedded server. If the server is embedded, set the search path of the
    database to the tables' schema.
    """
    engine = make_engine(url)
    try:
        with explained(), engine.begin() as connection:
            if own and layout.tables not in (None, "public"):
                schema, database = _quoted(layout.tables or ""), _quoted(str(make_url(url).database))
                connection.execute(text(f"CREATE SCHEMA {schema}"))
                connection.execute(text(f"ALTER DATABASE {database} SET search_path = {schema}, public"))
            if layout.vector is not None:
                make_extension(connection)
                if connection.scalar(text(_VECTOR_SCHEMA)) != layout.vector:
                    connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {_quoted(layout.vector)}"))
                    connection.execute(text(f"ALTER EXTENSION vector SET SCHEMA {_quoted(layout.vector)}"))
    finally:
        engine.dispose()


def bring_up_to_date(url: str) -> None:
    """Apply the migrations that are newer than the restored tables."""
    migrate(url)


def unfinished_runs(url: str) -> list[str]:
    """Return the ids of Dagster's runs that had a process when the dump was made."""
    engine = make_engine(url)
    try:
        with engine.connect() as connection:
            if connection.scalar(text("SELECT to_regclass('runs')")) is None:
                return []
            return list(connection.scalars(text(_WITHOUT_PROCESS)))
    except DBAPIError as error:
        raise LabError(f"Dagster's runs cannot be read ({first_line(error.orig or error)})") from None
    finally:
        engine.dispose()


def _listed(file: Path) -> str:
    return _printed(file, "--list")


def _printed(file: Path, *options: str) -> str:
    done = subprocess.run([_program("pg_restore"), *options, str(file)], capture_output=True, text=True)
    if done.returncode:
        raise LabError(f"pg_restore cannot read the dump {file} ({_reason(done.stderr)}); use another backup")
    return done.stdout


def _schema_in(pattern: str, script: str) -> str | None:
    """Return the name of a schema that an SQL script contains, without quotes. Return None if the pattern has no match.

    `pattern` is a regular expression in which {} stands for the name. The first match counts.
    """
    found = re.search(pattern.format(r'("(?:[^"]|"")+"|\w+)'), script, re.MULTILINE)
    return re.sub('""|"', lambda quote: quote[0][1:], found[1]) if found else None


def _run(program: str, url: str, options: list[str], *arguments: str) -> None:
    """Run a program of PostgreSQL on the database at `url`. The settings of libpq (PGSSLMODE, PGPASSFILE) apply.

    The password is not passed as an argument, because other users can see the arguments of a process.
    """
    from psycopg.conninfo import make_conninfo

    given = make_url(url)
    _, access = given.get_dialect()().create_connect_args(given)
    password = access.pop("password", None)
    environment = os.environ | ({"PGPASSWORD": password} if password else {})
    command = [_program(program), *options, f"--dbname={make_conninfo(**access)}", "--no-password", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise LabError(f"{program} could not finish ({_reason(done.stderr)})")


def _program(name: str) -> str:
    return str(location.programs(None) / name)


def _reason(printed: str) -> str:
    """Return the first error that a program printed, as one line."""
    lines = [line for line in printed.splitlines() if "error:" in line] or printed.splitlines() or ["no reason given"]
    return lines[0].partition("error:")[2].strip() or lines[0].strip()


def _quoted(schema: str) -> str:
    """Return the name of a schema, quoted as a pattern of pg_dump that matches only this schema."""
    return '"' + schema.replace('"', '""') + '"'
