"""Fixtures for the tests of `/v1/experiments`: a running service, and its database without any experiment."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine

from thumblab_core.database.tables import channels, experiments, video_reach, videos


@pytest.fixture(scope="module")
def database_url(migrated_database: Callable[[], str]) -> str:
    return migrated_database()


@pytest.fixture(scope="module")
def with_database(
    lab_at: Any, run: Any, database_url: str, images: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """A running service that has a database and serves no model."""
    lab = lab_at(tmp_path_factory.mktemp("lab"), database_url=database_url, extra_image_hosts=images["host"])
    with run(lab.settings, wait=False) as service:
        service.lab = lab
        yield service


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An SQLAlchemy engine for the service's database.

    The database contains no channels, videos, impressions or experiments.
    """
    engine = create_engine(database_url)
    with engine.begin() as connection:
        for table in (experiments, video_reach, videos, channels):
            connection.execute(table.delete())
    yield engine
    engine.dispose()
