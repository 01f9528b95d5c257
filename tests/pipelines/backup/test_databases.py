"""Test how a backup runs pg_dump, and how a restore runs pg_restore. A restore first checks that the server fits the
dump.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url

from thumblab_core.errors import LabError
from thumblab_pipelines.backup import databases


@pytest.fixture
def in_schemas(new_database: Callable[[], str], tmp_path: Path) -> Path:
    """The file of a database dump.

    The database has a table in the schema `Lab's`, and has the extension `vector` in the schema `extensions`.
    """
    url = new_database()
    do(url, "CREATE SCHEMA extensions", "CREATE EXTENSION vector SCHEMA extensions", 'CREATE SCHEMA "Lab\'s"')
    do(url, 'CREATE TABLE "Lab\'s".found (id integer, place extensions.vector(3))')
    do(url, "INSERT INTO \"Lab's\".found VALUES (7, '[1,2,3]')")
    do(url, f'ALTER DATABASE {make_url(url).database} SET search_path = "Lab\'s"')
    databases.dump(url, tmp_path / "dump")
    return tmp_path / "dump"


def do(url: str, *statements: str) -> Any:
    """Run the SQL statements, and return the first value of the last result."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        result = [connection.exec_driver_sql(statement) for statement in statements][-1]
        value = result.scalar() if result.returns_rows else None
    engine.dispose()
    return value


def test_the_lab_s_own_server_takes_a_dump_of_any_schemas(in_schemas: Path, new_database: Callable[[], str]) -> None:
    layout, url = databases.Layout.of(in_schemas), new_database()
    assert layout == databases.Layout("Lab's", "extensions")
    do(url, "CREATE EXTENSION vector")
    databases.prepare(url, layout, own=True)
    databases.restore(url, in_schemas)
    assert do(url, "SELECT id FROM found") == 7
    with pytest.raises(LabError, match=r"has tables already .* drop the databases .*, dagster and mlflow"):
        databases.require_empty(url, databases.LAB, stopped=True)


def test_a_restore_into_a_server_that_does_not_fit_is_refused_in_one_sentence(
    in_schemas: Path, new_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    layout, url = databases.Layout.of(in_schemas), new_database()

    def refused(name: str, layout: databases.Layout) -> str:
        with pytest.raises(LabError) as refusal:
            databases.require_fitting(url, name, layout)
        assert "\n" not in str(refusal.value)
        return str(refusal.value)

    databases.require_fitting(url, "mlflow", databases.Layout(None, None))
    databases.require_fitting(url, "mlflow", databases.Layout("public", "extensions"))
    assert 'run CREATE SCHEMA "Lab\'s" there' in refused("thumblab", layout)
    assert "run CREATE SCHEMA mlflow in the lab's database" in refused("mlflow", databases.Layout("mlflow", None))
    do(url, "CREATE EXTENSION vector", 'CREATE SCHEMA "Lab\'s"', "CREATE SCHEMA mlflow")
    do(url, f'ALTER DATABASE {make_url(url).database} SET search_path = "Lab\'s"')
    assert 'ALTER EXTENSION vector SET SCHEMA "extensions"' in refused("thumblab", layout)
    assert "let an administrator run CREATE DATABASE mlflow" in refused("mlflow", databases.Layout("public", None))
    monkeypatch.setattr(databases, "OLDEST", 99)
    assert "restored only into version 99 or later" in refused("thumblab", layout)


def test_pg_dump_takes_the_settings_of_libpq(
    new_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url = new_database()
    monkeypatch.setenv("PGDATABASE", "of somebody else")
    databases.dump(url, tmp_path / "dump")
    program = tmp_path / "pg_dump"
    program.write_text('#!/bin/sh\necho "error: $PGSSLMODE $PGPASSWORD" >&2; exit 1\n')
    program.chmod(0o700)
    monkeypatch.setattr(databases, "_program", lambda name: str(tmp_path / name))
    monkeypatch.setenv("PGSSLMODE", "prefer")
    monkeypatch.setenv("PGPASSWORD", "of the environment")
    with pytest.raises(LabError, match="prefer of the environment"):
        databases.dump(url, tmp_path / "dump")
    with pytest.raises(LabError, match="prefer of the URL"):
        databases.dump(
            make_url(url).set(password="of the URL").render_as_string(hide_password=False), tmp_path / "dump"
        )
