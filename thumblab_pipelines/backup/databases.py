"""Dump the databases of a lab with pg_dump, and restore them with pg_restore.

The programs come with the embedded server. They also dump an external server of the same version or an older one.
"""

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
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

_WITHOUT_PROCESS = "SELECT run_id FROM runs WHERE status IN ('STARTING', 'STARTED', 'CANCELING')"


def url_of(settings: Settings, name: str) -> str:
    """Return the SQLAlchemy URL of one of the databases of `NAMES`."""
    return database_url(settings) if name == LAB else named_database_url(name, "psycopg", settings)


@contextmanager
def snapshot(url: str) -> Iterator[tuple[Connection, str]]:
    """Yield a connection whose transaction sees one moment of the database, and the name of this snapshot for pg_dump.

    Raises `LabError` if the database cannot be reached, or only through a transaction pooler.
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
    """Write the schema of the lab's tables into a new file, as the snapshot sees it, else as it is now.

    Raises `LabError` if this fails.
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
    """Restore a dump into an empty database, all of it or nothing. Raises `LabError` if this fails."""
    # The schema exists in the new database, so the entry that would create it is left out.
    entries = [line for line in _listed(file).splitlines() if not re.match(r"\d+; \d+ \d+ (SCHEMA|EXTENSION) ", line)]
    with tempfile.NamedTemporaryFile("w", suffix=".list") as wanted:
        wanted.write("\n".join(entries))
        wanted.flush()
        options = ["--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error"]
        _run("pg_restore", url, [*options, f"--use-list={wanted.name}"], str(file))


def require_readable(file: Path) -> None:
    """Raise `LabError` if pg_restore cannot read the table of contents of a dump."""
    _listed(file)


def require_empty(url: str, name: str) -> None:
    """Raise `LabError` if the database has tables in the schema that the lab would use."""
    engine = make_engine(url)
    try:
        with explained(), engine.connect() as connection:
            table = connection.scalar(
                text("SELECT tablename FROM pg_tables WHERE schemaname = current_schema() LIMIT 1")
            )
    finally:
        engine.dispose()
    if table is not None:
        raise LabError(
            f"the database {name} has tables already (such as {table}), and a lab is restored only into empty "
            "databases; set THUMBLAB_DATABASE_URL to another database, or unset it"
        )


def prepare(url: str) -> None:
    """Create the extension `vector` in the lab's own database, before its tables are restored."""
    engine = make_engine(url)
    try:
        with explained(), engine.begin() as connection:
            make_extension(connection)
    finally:
        engine.dispose()


def bring_up_to_date(url: str) -> None:
    """Apply the migrations that the restored tables lack."""
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
    done = subprocess.run([_program("pg_restore"), "--list", str(file)], capture_output=True, text=True)
    if done.returncode:
        raise LabError(f"{file} is no dump that pg_restore can read ({_reason(done.stderr)}); use another backup")
    return done.stdout


def _run(program: str, url: str, options: list[str], *arguments: str) -> None:
    """Run a program of PostgreSQL on the database at `url`. The password is not among its arguments."""
    from psycopg.conninfo import make_conninfo

    given = make_url(url)
    _, access = given.get_dialect()().create_connect_args(given)
    password = access.pop("password", None)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    if password:
        environment["PGPASSWORD"] = password
    command = [_program(program), *options, f"--dbname={make_conninfo(**access)}", "--no-password", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise LabError(f"{program} could not finish ({_reason(done.stderr)})")


def _program(name: str) -> str:
    return str(location.programs(None) / name)


def _reason(printed: str) -> str:
    """Return the first error that a program printed, in one line."""
    lines = [line for line in printed.splitlines() if "error:" in line] or printed.splitlines() or ["no reason given"]
    return lines[0].partition("error:")[2].strip() or lines[0].strip()


def _quoted(schema: str) -> str:
    """Return the name of a schema as a pattern of pg_dump that matches only this schema."""
    return '"' + schema.replace('"', '""') + '"'
