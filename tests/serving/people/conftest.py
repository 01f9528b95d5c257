"""Fixtures of the tests of `/api/v1/faces`: a running service with a database, and a lab with a few faces."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from browser import Browser
from browser_fixtures import browser, opened_browser
from drawn_people import drawn_picture
from people_page import open_page
from planted_people import FakeDagster, Planted, PlantedGallery, empty, fake_dagster, group, plant, show

from thumblab_core.database.engine import make_engine
from thumblab_core.image_store import ImageFolder

__all__ = ["browser", "opened_browser"]


@pytest.fixture(scope="module")
def people_database(migrated_database: Callable[[], str]) -> str:
    return migrated_database()


@pytest.fixture(scope="module")
def people_service(
    lab_at: Any, run: Any, people_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """A running service that has a database and serves no model. By default, the service does not look for people."""
    lab = lab_at(tmp_path_factory.mktemp("lab"), database_url=people_database)
    with run(lab.settings, wait=False) as service:
        service.lab = lab
        yield service


@pytest.fixture
def planted(people_service: Any, people_database: str, draw: Callable[..., bytes]) -> Iterator[Planted]:
    engine = make_engine(people_database)
    images = ImageFolder(people_service.lab.settings.images)
    sha256 = [images.put(draw(seed, (640, 360))) for seed in range(6)]
    with engine.begin() as connection:
        empty(connection)
        *alone, pair = plant(connection, *((each, 1) for each in sha256[:5]), (sha256[5], 2))
        ids = [face_id for (face_id,) in alone]
        one, two = group(connection, ids[:2], [*ids[2:4], pair[0]])
    yield Planted(people_service, engine, images, sha256, ids, pair, one, two)
    engine.dispose()


@pytest.fixture(scope="module")
def gallery_dagster() -> Iterator[FakeDagster]:
    with fake_dagster() as fake:
        yield fake


@pytest.fixture(scope="module")
def gallery_service(
    lab_at: Any, run: Any, people_database: str, gallery_dagster: FakeDagster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """A running service that looks for people in its own channels, and has a fake Dagster."""
    folder = tmp_path_factory.mktemp("gallery")
    lab = lab_at(folder, database_url=people_database, dagster_url=gallery_dagster.url, people="own")
    with run(lab.settings, wait=False) as service:
        service.lab = lab
        yield service


@pytest.fixture
def gallery(gallery_service: Any, people_database: str) -> Iterator[PlantedGallery]:
    """Drawn people in a lab, see `PlantedGallery`."""
    engine = make_engine(people_database)
    images = ImageFolder(gallery_service.lab.settings.images)
    people = [[0], [0], [0], [0, 1], [1], [1], [2], [2], [3, 2], [4], [5]]
    sha256 = [images.put(drawn_picture(each, seed)) for seed, each in enumerate(people)]
    with engine.begin() as connection:
        empty(connection)
        found = plant(connection, *((each, len(of)) for each, of in zip(sha256, people, strict=True)))
        for number, each in enumerate(sha256[:8]):
            show(connection, f"video{number}", each)
        of = {
            person: [found[row][each.index(person)] for row, each in enumerate(people) if person in each]
            for person in range(6)
        }
        mixed, rest, two = group(connection, [*of[0][:3], of[1][1], *of[4]], [of[0][3]], of[2])
    yield PlantedGallery(gallery_service, engine, of, mixed, rest, two)
    engine.dispose()


@pytest.fixture
def page(browser: Browser, gallery: PlantedGallery) -> Iterator[Browser]:
    """A browser on the page, without stored data of earlier tests. The focus is on the first and largest cluster."""
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": "reduce"}])
    browser.size(1280)
    browser.open(f"{gallery.service.url}/people", ready="browse")
    browser.evaluate("localStorage.clear(); sessionStorage.clear()")
    open_page(browser, gallery.service)
    browser.evaluate("document.querySelector('#sheets li').focus()")
    yield browser
    assert [each for each in browser.complaints() if "/api/v1/faces/" not in json.dumps(each)] == []
    browser.call("Emulation.setEmulatedMedia", features=[])
    browser.size(1280)
