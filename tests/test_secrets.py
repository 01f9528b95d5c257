"""Test that the search for leaked secrets finds a secret in a log record, a table and a file."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from leaks import SECRETS, Leaks, files_with_a_key, tables_with_a_secret
from sqlalchemy import create_engine, text

from thumblab_core.database.urls import named_database_url
from thumblab_core.settings import Settings

TESTS = Path(__file__).parent


def test_a_log_record_or_traceback_with_a_secret_is_found_with_its_test() -> None:
    leaks, logger = Leaks(), logging.Logger("tests.leak")
    logger.addHandler(leaks)
    try:
        raise ValueError(f"https://example/?key={SECRETS[0]}")
    except ValueError:
        logger.exception("harmless")
    logger.warning("%s", SECRETS[1])
    logger.warning("harmless")
    assert len(leaks.found) == 2
    assert all("test_a_log_record_or_traceback_with_a_secret_is_found_with_its_test" in leak for leak in leaks.found)


def test_a_table_with_a_secret_is_found_in_any_database(session_folder: Path, new_database: Callable[[], str]) -> None:
    engine = create_engine(new_database())
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE leak (number int, told text)"))
        connection.execute(text("INSERT INTO leak VALUES (1, :told)"), {"told": f"x{SECRETS[0]}y"})
    assert f"{engine.url.database}.leak" in tables_with_a_secret(session_folder)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE leak"))
    engine.dispose()


def test_a_secret_is_found_wherever_it_is_in_a_large_value(
    session_folder: Path, new_database: Callable[[], str]
) -> None:
    """Put a secret at many positions into a value that PostgreSQL would compress.

    PostgreSQL cuts a value of more than 2 kB into pieces. The secret may be cut too.
    """
    engine = create_engine(new_database())
    found = f"{engine.url.database}.leak"
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE leak (told jsonb)"))
    for before in (1_000, 3_000, *range(1996 * 3 - len(SECRETS[0]) - 12, 1996 * 3 + 1)):
        with engine.begin() as connection:
            connection.execute(text("TRUNCATE leak"))
            value = json.dumps({"told": "x" * before + SECRETS[0] + "x" * 1_000})
            connection.execute(text("INSERT INTO leak VALUES (CAST(:told AS jsonb))"), {"told": value})
        assert next(tables_with_a_secret(session_folder), None) == found, before
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE leak"))
    engine.dispose()


@pytest.mark.slow
def test_a_secret_in_a_compressed_value_of_an_older_database_is_found(
    session_folder: Path, new_database: Callable[[], str]
) -> None:
    """Put a secret into an older database, which stores its values compressed.

    The tests set their server to store values uncompressed. The setting has an effect only on databases that are made
    later.
    """
    new_database()
    older = named_database_url("test_0", settings=Settings(data_dir=session_folder))
    engine = create_engine(older)
    value = "x" * 100_000 + SECRETS[0] + "x" * 100_000
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE leak (told text)"))
        connection.execute(text("INSERT INTO leak VALUES (:told)"), {"told": value})
        assert connection.scalar(text("SELECT pg_column_size(told) FROM leak")) < 10_000
    assert "test_0.leak" in tables_with_a_secret(session_folder)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE leak"))
    engine.dispose()


def test_no_column_of_a_lab_is_compressed(migrated_database: Callable[[], str]) -> None:
    engine = create_engine(migrated_database())
    with engine.connect() as connection:
        compressed = connection.scalars(
            text(
                "SELECT format('%s.%s', attrelid::regclass, attname) FROM pg_attribute JOIN pg_class ON oid = attrelid "
                "WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND attstorage = 'x'"
            )
        ).all()
    engine.dispose()
    assert compressed == []


def test_a_file_with_a_key_is_found_unless_a_test_gives_the_key_in_it(tmp_path: Path) -> None:
    for name in ("owner.json", "events.log", "harmless.log"):
        path = tmp_path / "lab" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("" if name == "harmless.log" else f"key={SECRETS[0]}")
    assert files_with_a_key(tmp_path) == [str(tmp_path / "lab" / "events.log")]
    (tmp_path / "lab" / "events.log").unlink()


@pytest.mark.parametrize("processes", [0, 1])
def test_a_session_in_which_a_test_logs_a_secret_fails_and_names_the_test(processes: int, tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text((TESTS / "conftest.py").read_text())
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_telling.py").write_text(
        "import logging\n\nfrom leaks import SECRETS\n\n\n"
        "def test_that_tells():\n    logging.getLogger('tests.leak').warning('%s', SECRETS[0])\n"
    )
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", str(processes), "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS.parent}"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 1, ended.stdout
    assert "1 passed, 1 error" in ended.stdout
    assert "test_telling.py::test_that_tells (call): " in ended.stdout
