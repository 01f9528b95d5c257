"""Test how the service looks for people on the pictures of a request. These tests need no network and no database."""

import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from thumblab_core.errors import LabError
from thumblab_core.recognition import appearances
from thumblab_serving.loading.sent_picture import SentPicture
from thumblab_serving.schemas.people.people_seen import SeenFaceOut, SeenPersonOut
from thumblab_serving.schemas.request import ScoreForm
from thumblab_serving.scoring import seen_people
from thumblab_serving.scoring.intake import Source
from thumblab_serving.scoring.seen_people import FaceSearch, Turns

FACE = SeenFaceOut(
    box=[0.1, 0.1, 0.2, 0.2],
    confidence=0.9,
    quality=0.9,
    person=SeenPersonOut(person_id="person_" + "a" * 22, name="Ada", score=0.9),
    problem=None,
)


class Database:
    """A database in which no query finds a row. `reading` is true while a query is running."""

    def __init__(self) -> None:
        self.reading = False

    def read(self, work: Callable[[Any], Any]) -> Any:
        self.reading = True
        try:
            return work(None)
        finally:
            self.reading = False


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture
def search(monkeypatch: pytest.MonkeyPatch, database: Database) -> Iterator[FaceSearch]:
    """A search that finds `FACE` on every picture."""
    turns = Turns()
    known: Any = SimpleNamespace(least_score=0.7, waiting=0)
    networks: Any = SimpleNamespace(detector=None, embedder=None)
    space: Any = None
    asked: Any = database
    monkeypatch.setattr(seen_people, "_places", lambda *_: None)
    monkeypatch.setattr(seen_people, "find_faces", lambda *_: [])
    monkeypatch.setattr(FaceSearch, "_matched", lambda *_: [FACE])
    monkeypatch.setattr(appearances, "searched_thumbnails", lambda *_: SimpleNamespace(appearances=list))
    yield FaceSearch(networks, space, known, "UC" + "o" * 22, turns, asked)
    turns.close()


@pytest.fixture
def sent(draw: Callable[[int], bytes]) -> SentPicture:
    return SentPicture(draw(1))


def test_examining_a_picture_does_not_wait_for_its_search(
    search: FaceSearch, sent: SentPicture, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = threading.Event()
    waited: list[bool] = []
    monkeypatch.setattr(seen_people, "find_faces", lambda *_: waited.append(looked.wait(10)) or [])
    search.look("a", sent)
    search.look("b", sent)
    looked.set()
    seen, sentences = search.answer(["a", "b"])
    assert waited == [True, True]
    assert [each.faces for each in seen.thumbnails] == [[FACE], [FACE]]
    assert sentences == []


def test_a_picture_that_is_examined_twice_fails_once(
    search: FaceSearch, sent: SentPicture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise LabError("broken")

    monkeypatch.setattr(seen_people, "find_faces", broken)
    for candidate in ("a", "b", "a", "b"):
        search.look(candidate, sent)
    seen, sentences = search.answer(["a", "b"])
    assert [each.faces for each in seen.thumbnails] == [None, None]
    assert sentences == ["2 of the pictures could not be searched for people"]


def test_pictures_beyond_the_limit_of_waiting_pictures_are_not_searched(
    search: FaceSearch, sent: SentPicture, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = threading.Event()
    monkeypatch.setattr(seen_people, "find_faces", lambda *_: looked.wait(10))
    names = [str(number) for number in range(seen_people._MOST_WAITING + 2)]
    for name in names:
        search.look(name, sent)
    looked.set()
    seen, sentences = search.answer(names)
    assert [each.id for each in seen.thumbnails if each.faces is None] == names[-2:]
    assert sentences == ["2 of the pictures could not be searched for people"]


def test_figures_are_computed_outside_of_the_time_limit_of_the_database(
    search: FaceSearch, sent: SentPicture, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed_while_reading: list[bool] = []

    def figures() -> list[Any]:
        computed_while_reading.append(database.reading)
        return []

    monkeypatch.setattr(appearances, "searched_thumbnails", lambda *_: SimpleNamespace(appearances=figures))
    search.look("a", sent)
    search.answer(["a"])
    assert computed_while_reading == [False]


def test_pictures_that_are_scored_at_a_limited_pace_are_searched_too(
    service: Any, search: FaceSearch, draw: Callable[[int], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = service.app.state.scorer
    monkeypatch.setattr(scorer.people, "search", lambda *_: (search, []))
    paced: list[None] = []
    sources = [Source(name, data=draw(number)) for number, name in enumerate("ab")]
    form = ScoreForm(title="A title", category="tech")
    answer = scorer.score(sources, form, pace=lambda: paced.append(None), owner=None, see_people=True)
    assert len(paced) == 2
    assert [each.faces for each in answer.people.thumbnails] == [[FACE], [FACE]]
