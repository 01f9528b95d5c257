"""Fixtures of the tests of `/api/v1/faces`: a running service with a database, and a lab with a few faces."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from planted_people import Planted, empty, group, plant

from thumblab_core.database.engine import make_engine
from thumblab_core.images import ImageStore


@pytest.fixture(scope="module")
def people_database(migrated_database: Callable[[], str]) -> str:
    return migrated_database()


@pytest.fixture(scope="module")
def people_service(
    lab_at: Any, run: Any, people_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """A running service that has a database and serves no model. People are switched off, as by default."""
    lab = lab_at(tmp_path_factory.mktemp("lab"), database_url=people_database)
    with run(lab.settings, wait=False) as service:
        service.lab = lab
        yield service


@pytest.fixture
def planted(people_service: Any, people_database: str, draw: Callable[..., bytes]) -> Iterator[Planted]:
    engine = make_engine(people_database)
    images = ImageStore(people_service.lab.settings.images)
    sha256 = [images.put(draw(seed, (640, 360))) for seed in range(6)]
    with engine.begin() as connection:
        empty(connection)
        *alone, pair = plant(connection, *((each, 1) for each in sha256[:5]), (sha256[5], 2))
        ids = [face_id for (face_id,) in alone]
        one, two = group(connection, ids[:2], [*ids[2:4], pair[0]])
    yield Planted(people_service, engine, images, sha256, ids, pair, one, two)
    engine.dispose()
