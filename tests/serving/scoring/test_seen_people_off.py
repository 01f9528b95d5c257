"""Test the cases in which the service does not look for people. These tests need no network and no database."""

from collections.abc import Callable
from typing import Any

import pytest

from thumblab_serving.scoring.seen_people import SeenPeople

OWN = "UC" + "o" * 22


@pytest.fixture(scope="module")
def own_lab(lab_at: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A lab with an added channel and without the networks that find people."""
    lab = lab_at(tmp_path_factory.mktemp("own"))
    lab.add_adapter(OWN, lab.promote(lab.model()), videos=2)
    return lab


@pytest.fixture(autouse=True)
def nothing_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise AssertionError("a network of faces was loaded")

    for name in ("FaceDetector", "OnnxFaceEmbedder"):
        monkeypatch.setattr(f"thumblab_core.recognition.networks.{name}", forbidden)


@pytest.fixture
def reasons(own_lab: Any) -> Callable[..., list[str]]:
    """Return a function that asks the service who is on pictures, with changed settings.

    The function returns the sentences in which the answer explains why it names nobody.
    """

    def ask(channel_id: str | None = OWN, may_see_names: bool = True, **changed: Any) -> list[str]:
        settings = own_lab.settings.model_copy(update={"people": "own", "score_people": True} | changed)
        people = SeenPeople(settings)
        try:
            search, sentences = people.search(channel_id, may_see_names)
        finally:
            people.close()
        assert search is None
        return sentences

    return ask


def test_by_default_nobody_is_looked_for_and_nothing_is_said(own_lab: Any) -> None:
    assert own_lab.settings.score_people is False
    people = SeenPeople(own_lab.settings)
    try:
        assert people.search(OWN, True) == (None, [])
    finally:
        people.close()


def test_without_the_setting_or_a_channel_nothing_is_said(reasons: Callable[..., list[str]]) -> None:
    assert reasons(score_people=False) == []
    assert reasons(None) == []


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"people": "off"}, "THUMBLAB_PEOPLE is off"),
        ({"may_see_names": False}, "the scope admin"),
        ({"channel_id": "UC" + "x" * 22}, "not one of your own"),
        ({}, "there is no face detector"),
    ],
)
def test_one_sentence_says_why_nobody_is_looked_for(
    reasons: Callable[..., list[str]], asked: dict[str, Any], reason: str
) -> None:
    (sentence,) = reasons(**asked)
    assert sentence.startswith("the answer does not say who is seen, because ")
    assert reason in sentence
