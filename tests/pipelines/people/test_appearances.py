"""Test how often a person is on the thumbnails of a channel, and how many views the videos with this person get."""

import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from sqlalchemy import insert

from thumblab_core.database.tables import channels, thumbnails, video_stats, videos
from thumblab_core.people.clustering import faces_for_clustering, store_clustering
from thumblab_core.people.detection import record_detection
from thumblab_core.people.naming import label
from thumblab_core.people.reading import list_clusters
from thumblab_core.people.records import SearchedPicture
from thumblab_core.recognition import appearances as appearances_module
from thumblab_core.recognition.appearances import appearances, compared, over_neighbours, searched_thumbnails
from thumblab_pipelines.lab import Lab

CHANNEL = "UC" + "a" * 22
VIDEOS = 60


@dataclass(frozen=True)
class Found:
    """A face as a detector returns it."""

    vector: np.ndarray
    box: tuple[float, ...] = (0.2, 0.2, 0.4, 0.5)
    landmarks: tuple[float, ...] = tuple(np.linspace(0.2, 0.4, 10))
    confidence: float = 0.9
    quality: float = 0.9


def views_of(number: int, factor: float) -> int:
    """Return the views of a video. Newer videos have fewer views. A video that shows the person has `factor` times
    as many views.
    """
    noise = np.random.default_rng(number).lognormal(0, 0.2)
    return round(1_000 * 1.05 ** (VIDEOS - number) * noise * (factor if number % 3 == 0 else 1))


@pytest.fixture
def channel(open_lab: Callable[..., Lab]) -> Lab:
    """A lab with 60 videos of a channel. Ada is on every third thumbnail, and her videos have twice as many views as
    the other videos.
    """
    lab, now = open_lab(), datetime.now(UTC)
    with lab.engine.begin() as connection:
        connection.execute(insert(channels).values(channel_id=CHANNEL, title="Alpha"))
        for number in range(VIDEOS):
            video, sha256, moment = f"video_{number:05}", f"{number:064x}", now - timedelta(days=VIDEOS - number)
            facts = {"niche": "tech", "title": "t", "tags": [], "source": "youtube", "refreshed_at": now}
            connection.execute(insert(videos).values(video_id=video, channel_id=CHANNEL, published_at=moment, **facts))
            stats = {"observed_at": now, "view_count": views_of(number, 2.0), "era": "any"}
            connection.execute(insert(video_stats).values(video_id=video, **stats))
            shown = {"sha256": sha256, "fetched_at": now, "checked_at": now}
            connection.execute(insert(thumbnails).values(video_id=video, **shown))
            found = [Found(np.eye(4, dtype=np.float32)[0])] if number % 3 == 0 else []
            record_detection(connection, [SearchedPicture(sha256, found)], "detector", "embedder")
        given = faces_for_clustering(connection, "embedder")
        count = len(given.face_ids)
        store_clustering(connection, given, np.zeros(count, np.intp), np.ones(count))
        label(connection, list_clusters(connection).clusters[0].id, "Ada")
    return lab


def test_the_share_and_the_planted_effect_of_a_person_are_found(channel: Lab) -> None:
    with channel.engine.connect() as connection:
        (ada,) = appearances(connection)
        assert appearances(connection, CHANNEL) == [ada]
        assert appearances(connection, "UC" + "b" * 22) == []
    assert (ada.name, ada.channel, ada.thumbnails, ada.searched) == ("Ada", "Alpha", 20, VIDEOS)
    assert ada.share == pytest.approx(1 / 3)
    assert ada.low is not None
    assert ada.high is not None
    assert 1 < ada.low < 2 < ada.high


def test_figures_are_computed_after_the_connection_is_given_back(channel: Lab) -> None:
    with channel.engine.connect() as connection:
        read, expected = searched_thumbnails(connection), appearances(connection)
    assert read.appearances() == expected


def test_the_memory_of_a_comparison_does_not_grow_with_the_videos(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome, shows = np.random.default_rng(3).normal(size=6_000), np.arange(6_000) % 2 == 0
    tracemalloc.start()
    try:
        figures = compared(outcome, shows)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 24 * 2**20
    # The result must be the same if all draws are made in one step.
    monkeypatch.setattr(appearances_module, "_AT_ONCE", 2**30)
    assert compared(outcome, shows) == figures


def test_without_an_effect_the_interval_contains_one() -> None:
    shows = np.arange(VIDEOS) % 3 == 0
    outcome = over_neighbours(np.log([views_of(number, 1.0) for number in range(VIDEOS)]))
    _, low, high = compared(outcome, shows)
    assert low is not None
    assert high is not None
    assert low < 1 < high


def test_few_videos_and_unknown_views_give_no_figure() -> None:
    assert compared(np.zeros(30), np.arange(30) < 4) == (None, None, None)
    assert compared(np.full(30, np.nan), np.arange(30) < 15) == (None, None, None)
