"""No key or token that any test gave the lab stands in a log, an event, an exception or a table. Runs last."""

import logging
from pathlib import Path

import pytest
from leaks import LEAKS, SECRETS, rows_with_a_secret
from sqlalchemy import create_engine, make_url, text

from thumblab_core.database.server import named_database_url
from thumblab_core.settings import Settings


def test_no_log_record_of_the_session_shows_a_secret() -> None:
    assert LEAKS.found == []


def test_a_log_record_or_traceback_that_did_would_be_seen() -> None:
    logger = logging.getLogger("tests.leak")
    try:
        raise ValueError(f"https://example/?key={SECRETS[0]}")
    except ValueError:
        logger.exception("harmless")
    logger.warning("%s", SECRETS[1])
    assert len(LEAKS.found) == 2
    LEAKS.found.clear()


def test_no_table_of_any_database_of_the_session_holds_a_secret(session_folder: Path) -> None:
    """The labs' own tables, and the events of those Dagster instances that have theirs on this server."""
    server = make_url(named_database_url("postgres", settings=Settings(data_dir=session_folder)))
    engine = create_engine(server)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE leak (told text)"))
        connection.execute(text("INSERT INTO leak VALUES (:told)"), {"told": f"x{SECRETS[0]}y"})
        names = list(
            connection.scalars(text("SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate"))
        )
    urls = [server.set(database=name).render_as_string(hide_password=False) for name in names]
    assert rows_with_a_secret(urls[names.index("postgres")]) == ["postgres.leak"]
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE leak"))
    engine.dispose()
    assert [found for url in urls for found in rows_with_a_secret(url)] == []


def test_no_file_that_a_test_made_holds_a_key_of_youtube(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Logs, events, releases and images of every lab of the session, but for the files that hand in a secret."""
    handed_in = {"owner.json"}
    found = [
        path
        for path in tmp_path_factory.getbasetemp().rglob("*")
        if path.is_file() and path.name not in handed_in and SECRETS[0].encode() in path.read_bytes()
    ]
    assert found == []
