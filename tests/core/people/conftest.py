"""A migrated database, which is empty at the start of each test."""

from collections.abc import Callable, Iterator

import pytest
from face_helpers import empty
from sqlalchemy import Connection, Engine

from thumblab_core.database.engine import make_engine


@pytest.fixture(scope="module")
def engine(migrated_database: Callable[[], str]) -> Iterator[Engine]:
    engine = make_engine(migrated_database())
    yield engine
    engine.dispose()


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    """A connection in one transaction, which is rolled back after the test."""
    with engine.begin() as connection:
        yield connection
        connection.rollback()


@pytest.fixture
def emptied(engine: Engine) -> Iterator[Engine]:
    """The database of the tests, with empty tables. The rows that a test commits are deleted after the test."""
    with engine.begin() as connection:
        empty(connection)
    yield engine
    with engine.begin() as connection:
        empty(connection)
