"""Copy the state of a running lab, restore it, and compare two states.

The comparison ignores values that differ between equal runs, such as times.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from real_processes import url_from_outside

from thumblab_core.releases.release import MODEL
from thumblab_core.releases.release_store import ReleaseStore

_PROGRESS = {"alembic_version", "quota_ledger", "charts"}
"""Tables that are not compared, because their rows may differ after a retry. For example, a killed run may spend quota
twice.
"""


@contextmanager
def database(data_dir: Path, name: str) -> Iterator[psycopg.Connection]:
    """Connect to a database of the lab.

    The connection does not count as a user of the server, so it does not keep the server running.
    """
    with psycopg.connect(url_from_outside(data_dir, name), autocommit=True, connect_timeout=10) as connection:
        yield connection


def _tables(connection: psycopg.Connection) -> list[str]:
    found = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename")
    return [row[0] for row in found]


def _columns(connection: psycopg.Connection, table: str) -> list[str]:
    """Return the writable columns of a table. A generated column is not writable."""
    found = connection.execute(
        """SELECT column_name FROM information_schema.columns
           WHERE table_schema = 'public' AND table_name = %s AND is_generated = 'NEVER' ORDER BY ordinal_position""",
        [table],
    )
    return [row[0] for row in found]


def keep_state(data_dir: Path, copy: Path) -> None:
    """Copy the data of a lab: its tables, MLflow's tables, its pictures and its releases.

    The files are copied into the folder `copy`. The tables are copied into a schema of each database. The schema has
    the same name as the folder.
    """
    for place in _FOLDERS:
        shutil.copytree(data_dir / place, copy / place, dirs_exist_ok=True)
    schema = sql.Identifier(copy.name)
    for name in _DATABASES:
        with database(data_dir, name) as connection:
            connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(schema))
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(schema))
            for table in map(sql.Identifier, _tables(connection)):
                statement = sql.SQL("CREATE TABLE {}.{} AS TABLE public.{}")
                connection.execute(statement.format(schema, table, table))


def bring_back(data_dir: Path, copy: Path) -> None:
    """Restore a copied state while the lab runs.

    The caller must stop every process that could read a half-restored state.
    """
    for name in _DATABASES:
        with database(data_dir, name) as connection, connection.transaction():
            # Without triggers and foreign keys, the tables can be restored in any order.
            connection.execute("SET LOCAL session_replication_role = replica")
            tables = _tables(connection)
            emptied = sql.SQL(", ").join(sql.Identifier("public", table) for table in tables)
            connection.execute(sql.SQL("TRUNCATE {}").format(emptied))
            for table in tables:
                columns = sql.SQL(", ").join(map(sql.Identifier, _columns(connection, table)))
                statement = sql.SQL("INSERT INTO public.{0} ({1}) OVERRIDING SYSTEM VALUE SELECT {1} FROM {2}.{0}")
                connection.execute(statement.format(sql.Identifier(table), columns, sql.Identifier(copy.name)))
    for place in _FOLDERS:
        _bring_files_back(copy / place, data_dir / place)


_DATABASES = ("thumblab", "mlflow")
_FOLDERS = ("images", "releases")


def _bring_files_back(copy: Path, place: Path) -> None:
    """Make a folder equal to its copy.

    While this function runs, a reader finds no half-written pointer, and no pointer to a missing release.
    """
    kept = {path.relative_to(copy) for path in copy.rglob("*")}
    for path in sorted(kept):
        if (copy / path).is_dir():
            (place / path).mkdir(exist_ok=True)
    for path in sorted(kept):
        source, target = copy / path, place / path
        if source.is_file() and not (target.exists() and target.read_bytes() == source.read_bytes()):
            written = target.with_name(f".{target.name}.restored")
            shutil.copyfile(source, written)
            written.replace(target)
    for path in sorted(place.rglob("*"), reverse=True):
        if path.relative_to(place) not in kept:
            path.rmdir() if path.is_dir() else path.unlink()


def digests(data_dir: Path, copy: Path | None = None) -> dict[str, str]:
    """Return a digest of each table, of the pictures and of each served release. Times and ids of runs are left out.

    If `copy` is given, return the digests of the copied state instead.
    """
    found: dict[str, str] = {}
    schema, folder = ("public", data_dir) if copy is None else (copy.name, copy)
    with database(data_dir, "thumblab") as connection:
        for table in sorted(set(_tables(connection)) - _PROGRESS):
            found[table] = _digest(sorted(_rows(connection, schema, table)))
    images = folder / "images"
    found["images"] = _digest(sorted(str(path.relative_to(images)) for path in images.rglob("*") if path.is_file()))
    store = ReleaseStore(folder / "releases")
    for pointer in sorted(store.root.glob("*/*/CURRENT")):
        kind, scope = pointer.parents[1].name, pointer.parent.name
        served = store.serving.current(kind, scope)
        assert served is not None
        for name, checksum in served.files.items():
            found[f"served {kind} {scope} {name}"] = checksum
        if kind == MODEL:
            config = json.loads(served.read("config.json"))
            # Leave out the release ids, because they contain the time of publication. The training pairs determine all
            # other data of the release.
            del config["training"]["pairs_release"]
            found[f"served {kind} {scope} config.json"] = _digest([config])
    return found


def _rows(connection: psycopg.Connection, schema: str, table: str) -> list[str]:
    """Return the rows of a table as texts, without columns such as times, which differ between equal runs."""
    columns = connection.execute(
        """SELECT column_name FROM information_schema.columns WHERE table_schema = 'public' AND table_name = %s
           AND is_identity = 'NO' AND NOT (column_name = ANY(%s)) ORDER BY column_name""",
        [table, list(INCIDENTAL_COLUMNS.get(table, ()))],
    )
    names = [row[0] for row in columns]
    selected = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(name)) for name in names)
    found = connection.execute(sql.SQL("SELECT {} FROM {}").format(selected, sql.Identifier(schema, table)))
    return [json.dumps(row) for row in found]


INCIDENTAL_COLUMNS = {"model_evaluations": ("release_id", "evaluated_at")}
"""Columns that contain a time of this machine or the id of a release. All other times come from the emulator."""


def _digest(values: list[Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]
