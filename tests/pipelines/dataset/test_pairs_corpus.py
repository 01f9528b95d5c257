"""Promises of the corpus: what must not be learnt from is left out and counted, and no picture is there twice."""

import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import insert

from thumblab_core.database.tables import channels, crawl_channels, crawl_videos, video_stats, videos, views_at_age
from thumblab_core.encoders.protocol import Vectors, unit
from thumblab_pipelines.collection.crawl_rules import GONE, OUTLIER
from thumblab_pipelines.dataset import near_duplicates as near
from thumblab_pipelines.dataset import pairs
from thumblab_pipelines.dataset.corpus import exclude, read_corpus
from thumblab_pipelines.dataset.near_duplicates import Pictures
from thumblab_pipelines.lab import Lab

PUBLISHED = datetime(2026, 9, 1, tzinfo=UTC)


def rows_for_exclusion(**columns: list[Any]) -> pd.DataFrame:
    count = len(next(iter(columns.values())))
    usual = {
        "video_id": [f"v{i}" for i in range(count)],
        "sha256": [f"{i:064d}" for i in range(count)],
        "encoded": [True] * count,
        "duration_s": [600.0] * count,
        "views": [5_000] * count,
        "published_at": [PUBLISHED] * count,
        "observed_at": [PUBLISHED + timedelta(days=9)] * count,
        "format": ["video"] * count,
        "aspect_ratio": [16 / 9] * count,
        "may_train": [False] * count,
        "subscriber_count": [np.nan] * count,
        "outcome": [None] * count,
        "lacks_count": [None] * count,
    }
    return pd.DataFrame({**usual, **columns})


def test_what_must_not_be_learnt_from_is_left_out_and_counted() -> None:
    unknown = None
    corpus = rows_for_exclusion(
        duration_s=[600, 180, 180, 60, 3_600, 59, 3_601, unknown, 100, *[600] * 8],
        aspect_ratio=[unknown, unknown, 16 / 9, 16 / 9, unknown, 16 / 9, 16 / 9, unknown, 9 / 16, *[16 / 9] * 8],
        format=["video"] * 8 + ["short", "live"] + ["video"] * 7,
        views=[5_000] * 10 + [999] + [5_000] * 6,
        sha256=[*"abcdefghijkl", None, *"nopq"],
        encoded=[True] * 13 + [False] + [True] * 3,
        subscriber_count=[100.0] + [np.nan] * 13 + [99.0, np.nan, np.nan],
        outcome=[OUTLIER, *[None] * 14, GONE, None],
        observed_at=[PUBLISHED + timedelta(days=9)] * 16 + [PUBLISHED - timedelta(hours=1)],
    )
    kept, excluded = exclude(corpus, only_opted_in=False)
    assert kept.video_id.tolist() == ["v0", "v2", "v3", "v4", "v6", "v11"]
    assert kept.crawl_outlier.tolist() == [True, False, False, False, False, False]
    assert kept.learnt.tolist() == [True, True, True, True, False, True]
    assert {reason: n for reason, n in excluded.items() if n} == {
        "no picture": 1,
        "not encoded": 1,
        "removed or private": 1,
        "a Short": 1,
        "live or of unknown length": 2,
        "up to 180 s and of unknown shape (may be a Short)": 1,
        "under 60 s": 1,
        "over 3600 s, from all but its channel's own history": 1,
        "under 1000 views": 1,
        "counted before it was published": 1,
        "of a channel under 100 subscribers": 1,
    }


def test_the_stricter_choice_leaves_out_who_did_not_opt_in() -> None:
    corpus = rows_for_exclusion(may_train=[True, False, True])
    kept, excluded = exclude(corpus, only_opted_in=True)
    assert kept.video_id.tolist() == ["v0", "v2"]
    assert excluded["not opted in to training"] == 1


def spread(count: int, width: int = 64, seed: int = 0) -> Vectors:
    """Unit vectors [count, width] none of which looks like another."""
    return unit(np.random.default_rng(seed).standard_normal((count, width)).astype(np.float32))


def test_of_near_duplicates_the_first_to_be_published_stays() -> None:
    # The second looks like the first and goes, so what looks like the second alone may stay.
    chain = Pictures(list("abcd"), [0, -1, 0b1111, 0b11111111])
    assert np.flatnonzero(chain.repeats()).tolist() == [2]
    assert np.flatnonzero(Pictures(list("abab"), [None] * 4).repeats()).tolist() == [2, 3]
    assert not Pictures([], []).repeats().any()
    assert not Pictures(list("abc"), [None] * 3).repeats().any()


def test_pictures_are_alike_by_file_by_hash_and_by_vector() -> None:
    vectors = spread(6)
    vectors[5] = unit((vectors[1] + 0.1 * vectors[2])[None])[0]
    hashes = [0, -1, 0x5555555555555555, None, 0b111111, None]
    pictures = Pictures(["a", "b", "c", "a", "e", "f"], hashes, vectors, 0.97)
    assert np.flatnonzero(pictures.repeats()).tolist() == [3, 4, 5]
    assert list(pictures.across(np.arange(6))) == [(0, 3), (0, 4), (1, 5)]
    assert list(pictures.across(np.array([0, 0, 0, 1, 0, 0]))) == [(0, 3)]
    assert pictures.any_alike(np.array([3, 4, 5]), np.array([1, 2])).tolist() == [False, False, True]


def test_blocks_change_nothing_of_what_is_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(1)
    vectors = unit(random.integers(0, 3, (300, 4)).astype(np.float32) + 0.1)
    hashes = random.integers(0, 2**12, 300).tolist()
    files, side = [str(one) for one in random.integers(0, 200, 300)], random.integers(0, 3, 300)
    whole = Pictures(files, hashes, vectors, 0.999)
    expected = whole.repeats(), list(whole.across(side))
    monkeypatch.setattr(near, "_ROWS", 7)
    monkeypatch.setattr(near, "_CELLS", 100)
    assert whole.repeats().tolist() == expected[0].tolist()
    assert list(whole.across(side)) == expected[1]
    assert 0 < expected[0].sum() < 299


def test_every_couple_of_a_large_corpus_is_looked_at() -> None:
    count = 20_000
    vectors = spread(count, 128)
    vectors[-1] = vectors[0]
    hashes = np.random.default_rng(0).integers(-(2**63), 2**63, count).tolist()
    pictures = Pictures([str(row) for row in range(count)], hashes, vectors, 0.97)
    assert np.flatnonzero(pictures.repeats()).tolist() == [count - 1]
    assert list(pictures.across(np.arange(count))) == [(0, count - 1)]


@pytest.mark.parametrize("files", ["of one file", "of files of their own"])
def test_ten_thousand_times_the_same_picture_takes_the_memory_of_one_block(files: str) -> None:
    count = 10_000
    names = ["a"] * count if files == "of one file" else [str(row) for row in range(count)]
    pictures = Pictures(names, [7] * count, np.tile(spread(1, 16), (count, 1)), 0.97)
    tracemalloc.start()
    repeats, leaks = pictures.repeats(), sum(1 for _ in pictures.across(np.arange(count) % 3))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.flatnonzero(~repeats).tolist() == [0]
    assert leaks == count - 1
    assert peak < 200 * 2**20  # as couples, 50 million of them, it was several GB


class Rows:
    """Videos with all that a corpus asks for, in an empty lab whose encoders cost nothing."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        with lab.engine.begin() as connection:
            connection.execute(insert(channels).values(channel_id="c", title="c", subscriber_count=99))
            connection.execute(insert(channels).values(channel_id="d", title="d"))

    def add(self, video_id: str, *counts: tuple[float, int, str], channel: str = "d") -> None:
        facts = {
            "title": video_id,
            "published_at": PUBLISHED,
            "tags": [],
            "source": "catalogue",
            "refreshed_at": PUBLISHED,
        }
        stats = [
            {"video_id": video_id, "observed_at": PUBLISHED + timedelta(hours=age), "view_count": count, "era": era}
            for age, count, era in counts
        ]
        with self.lab.engine.begin() as connection:
            connection.execute(insert(videos).values(video_id=video_id, niche="tech", channel_id=channel, **facts))
            connection.execute(insert(video_stats), stats)

    def at(self, video_id: str, age: int, views: float, era: str) -> None:
        row = {
            "video_id": video_id,
            "age_hours": age,
            "views": views,
            "era": era,
            "before_hours": age,
            "after_hours": age,
        }
        with self.lab.engine.begin() as connection:
            connection.execute(insert(views_at_age).values(row))


@pytest.fixture
def rows(open_lab: Callable[..., Lab]) -> Rows:
    return Rows(open_lab())


def test_a_video_is_told_by_its_latest_count_and_what_else_that_definition_of_a_view_knows(rows: Rows) -> None:
    rows.add("v", (30, 1_000, "qualified"), (200, 3_000, "playback_start"), (100, 2_000, "qualified"))
    rows.at("v", 24, 900, "qualified")
    rows.at("v", 72, 1_500, "playback_start")
    rows.at("v", 168, 3_300, "playback_start")
    video = read_corpus(rows.lab, "i", "t").iloc[0]
    assert (video.views, video.age_hours, video.era) == (3_000, 200, "playback_start")
    assert video.observed_at == PUBLISHED + timedelta(hours=200)
    assert np.isnan(video.views_at_24)  # known by the other definition alone
    assert video.views_at_72 == 1_500
    assert video.views_at_168 == 3_000  # YouTube has taken 300 back since
    assert np.isnan(video.views_at_720)
    assert np.isnan(video.click_through_rate)


def test_what_the_crawl_and_the_channel_know_of_a_video_comes_with_it(rows: Rows) -> None:
    rows.add("v", (30, 1_000, "qualified"), channel="c")
    rows.add("w", (30, 1_000, "qualified"))
    with rows.lab.engine.begin() as connection:
        connection.execute(insert(crawl_channels).values(channel_id="d", niche="tech", found_at=PUBLISHED))
        crawled = {"video_id": "w", "channel_id": "d", "niche": "tech", "published_at": PUBLISHED, "outcome": OUTLIER}
        connection.execute(insert(crawl_videos).values(crawled))
    found = read_corpus(rows.lab, "i", "t").set_index("video_id")
    assert found.subscriber_count["v"] == 99
    assert np.isnan(found.subscriber_count["w"])
    assert found.outcome.dropna().to_dict() == {"w": OUTLIER}


def test_a_video_without_a_count_is_none_of_the_corpus(rows: Rows) -> None:
    assert read_corpus(rows.lab, "i", "t").empty
    built = pairs.build_pairs(rows.lab)
    assert built.release.info["videos"] == 0
    assert pairs.build_pairs(rows.lab).reused
