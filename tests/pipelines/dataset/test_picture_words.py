"""Test which words of a picture are stored for training: the words that the text reader found in this picture."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from sqlalchemy import insert

from thumblab_core.database.tables import channels, thumbnail_versions, videos, visual_features
from thumblab_core.sub_scores.evidence import Box, Evidence, TextLine
from thumblab_pipelines.dataset.corpus import read_corpus
from thumblab_pipelines.lab import Lab

NOW = datetime(2026, 9, 1, tzinfo=UTC)
OF_THE_VIDEO, OF_ANOTHER = "a" * 64, "b" * 64


def evidence(*texts: str, reader: bool = True) -> Evidence:
    """Return the evidence of a picture in which `texts` were read. If `reader` is false, there was no text reader."""
    lines = tuple(TextLine(Box(0.1, 0.1, 0.5, 0.2), text, 0.9, 12.0) for text in texts)
    return Evidence(lines if reader else None, None, (), None, (), 0.5, 0.5, 0.5, None, 0.0)


@pytest.fixture(scope="module")
def add(open_lab: Callable[..., Lab]) -> Callable[..., str | None]:
    """A function that adds a video to the lab, and returns the words that the corpus has for the video's picture.

    `measured` is the stored evidence of a picture. `sha256` is the hash of this picture. By default, it is the hash of
    the picture that the video shows.
    """
    lab = open_lab()
    with lab.engine.begin() as connection:
        connection.execute(insert(channels).values(channel_id="c", title="c"))

    def add_video(name: str, measured: object, sha256: str = OF_THE_VIDEO) -> str | None:
        video = {"video_id": name, "niche": "tech", "channel_id": "c", "title": name, "published_at": NOW}
        seen = {"first_seen": NOW, "last_seen": NOW, "title": name, "phash": 1}
        with lab.engine.begin() as connection:
            connection.execute(insert(videos).values(video | {"tags": [], "source": "catalogue", "refreshed_at": NOW}))
            connection.execute(insert(thumbnail_versions).values(video_id=name, sha256=OF_THE_VIDEO, **seen))
            if measured is not None:
                values = {"video_id": name, "sha256": sha256, "version": "1", "evidence": measured}
                connection.execute(insert(visual_features).values(values))
        words = read_corpus(lab, "i", "t").set_index("video_id").picture_words[name]
        return words if isinstance(words, str) else None

    return add_video


@pytest.mark.parametrize("texts", [("BIG NEWS", "today"), ('it\'s   50 % "off"',), ("ü — 咲",)])
def test_the_words_are_those_of_the_measured_evidence(add: Callable[..., str | None], texts: tuple[str, ...]) -> None:
    measured = evidence(*texts)
    assert add(f"v {texts}", measured.as_json()) == measured.words == " ".join(texts)


def test_a_picture_without_text_has_empty_words(add: Callable[..., str | None]) -> None:
    assert add("empty", evidence().as_json()) == evidence().words == ""


def test_a_picture_that_was_not_read_has_unknown_words(add: Callable[..., str | None]) -> None:
    """Check three cases: the picture was not measured, there was no text reader, or an old version of the lab stored no
    evidence.
    """
    unread = evidence(reader=False)
    assert add("no reader", unread.as_json()) is None is unread.words
    assert add("not measured", None) is None
    assert add("old version", {}) is None


def test_the_words_of_another_picture_are_not_used(add: Callable[..., str | None]) -> None:
    assert add("changed", evidence("OLD").as_json(), OF_ANOTHER) is None
