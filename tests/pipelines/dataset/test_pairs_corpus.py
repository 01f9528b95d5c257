"""Tests of the corpus. Videos that a rule excludes are counted, and near-duplicate pictures are left out."""

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
    defaults = {
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
        "is_short": [None] * count,
    }
    return pd.DataFrame({**defaults, **columns})


def test_each_rule_excludes_its_videos_and_counts_them() -> None:
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
        "live or upcoming": 1,
        "of unknown length (may be a Short)": 1,
        "up to 180 s and of unknown shape (may be a Short)": 1,
        "under 60 s": 1,
        "over 3600 s, from all but its channel's own history": 1,
        "under 1000 views": 1,
        "counted before it was published": 1,
        "of a channel under 100 subscribers": 1,
    }


def test_a_video_of_unknown_length_or_shape_stays_if_an_export_shows_it_is_not_a_short() -> None:
    corpus = rows_for_exclusion(
        duration_s=[np.nan, np.nan, np.nan, 120.0, 120.0],
        aspect_ratio=[np.nan] * 5,
        is_short=[False, None, True, False, None],
    )
    kept, excluded = exclude(corpus, only_opted_in=False)
    assert kept.video_id.tolist() == ["v0", "v3"]
    assert kept.learnt.all()
    assert excluded["of unknown length (may be a Short)"] == 2


def test_videos_that_are_not_opted_in_are_excluded_if_the_setting_asks_for_it() -> None:
    corpus = rows_for_exclusion(may_train=[True, False, True])
    kept, excluded = exclude(corpus, only_opted_in=True)
    assert kept.video_id.tolist() == ["v0", "v2"]
    assert excluded["not opted in to training"] == 1


def spread(count: int, width: int = 64, seed: int = 0) -> Vectors:
    """Return unit vectors [count, width]. No two of these vectors are near-duplicates."""
    return unit(np.random.default_rng(seed).standard_normal((count, width)).astype(np.float32))


def test_the_first_of_several_near_duplicates_is_kept() -> None:
    # The third picture looks like the first picture and is left out. The fourth picture looks like the third but not
    # like the first. Because the third picture is left out, the fourth picture is kept.
    chain = Pictures(list("abcd"), [0, -1, 0b1111, 0b11111111])
    assert np.flatnonzero(chain.repeats()).tolist() == [2]
    assert np.flatnonzero(Pictures(list("abab"), [None] * 4).repeats()).tolist() == [2, 3]
    assert not Pictures([], []).repeats().any()
    assert not Pictures(list("abc"), [None] * 3).repeats().any()


def test_pictures_look_alike_by_file_by_hash_or_by_vector() -> None:
    vectors = spread(6)
    vectors[5] = unit((vectors[1] + 0.1 * vectors[2])[None])[0]
    hashes = [0, -1, 0x5555555555555555, None, 0b111111, None]
    pictures = Pictures(["a", "b", "c", "a", "e", "f"], hashes, vectors, 0.97)
    assert np.flatnonzero(pictures.repeats()).tolist() == [3, 4, 5]
    assert list(pictures.across(np.arange(6))) == [(0, 3), (0, 4), (1, 5)]
    assert list(pictures.across(np.array([0, 0, 0, 1, 0, 0]))) == [(0, 3)]
    assert pictures.any_alike(np.array([3, 4, 5]), np.array([1, 2])).tolist() == [False, False, True]


def test_the_size_of_blocks_does_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(1)
    vectors = unit(random.integers(0, 3, (300, 4)).astype(np.float32) + 0.1)
    hashes = random.integers(0, 2**12, 300).tolist()
    files, side = [str(number) for number in random.integers(0, 200, 300)], random.integers(0, 3, 300)
    pictures = Pictures(files, hashes, vectors, 0.999)
    repeats, across = pictures.repeats(), list(pictures.across(side))
    monkeypatch.setattr(near, "_ROWS", 7)
    monkeypatch.setattr(near, "_SEVERAL", 20)
    assert pictures.repeats().tolist() == repeats.tolist()
    assert list(pictures.across(side)) == across
    assert 0 < repeats.sum() < 299


def test_every_pair_of_pictures_of_a_large_corpus_is_compared() -> None:
    count = 5_000  # The pictures are compared in blocks of 1,024, so 5,000 pictures make five blocks.
    vectors = spread(count, 128)
    vectors[-1] = vectors[0]
    hashes = np.random.default_rng(0).integers(-(2**63), 2**63, count).tolist()
    pictures = Pictures([str(row) for row in range(count)], hashes, vectors, 0.97)
    assert np.flatnonzero(pictures.repeats()).tolist() == [count - 1]
    assert list(pictures.across(np.arange(count))) == [(0, count - 1)]


@pytest.mark.parametrize("files", ["one file", "many files"])
def test_ten_thousand_copies_of_a_picture_need_the_memory_of_one_block(files: str) -> None:
    count = 10_000
    names = ["a"] * count if files == "one file" else [str(row) for row in range(count)]
    pictures = Pictures(names, [7] * count, np.tile(spread(1, 16), (count, 1)), 0.97)
    tracemalloc.start()
    repeats, leaks = pictures.repeats(), sum(1 for _ in pictures.across(np.arange(count) % 3))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.flatnonzero(~repeats).tolist() == [0]
    assert leaks == count - 1
    assert peak < 200 * 2**20  # A list of all 50 million pairs of copies would take several GB.


class VideoRows:
    """A lab without pictures and vectors, into which a test inserts videos and their view counts."""

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

    def add_views_at(self, video_id: str, age: int, views: float, era: str) -> None:
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
def rows(open_lab: Callable[..., Lab]) -> VideoRows:
    return VideoRows(open_lab())


def test_a_row_has_the_latest_count_and_views_at_fixed_ages_by_the_same_definition(rows: VideoRows) -> None:
    rows.add("v", (30, 1_000, "qualified"), (200, 3_000, "playback_start"), (100, 2_000, "qualified"))
    rows.add_views_at("v", 24, 900, "qualified")
    rows.add_views_at("v", 72, 1_500, "playback_start")
    rows.add_views_at("v", 168, 3_300, "playback_start")
    video = read_corpus(rows.lab, "i", "t").iloc[0]
    assert (video.views, video.age_hours, video.era) == (3_000, 200, "playback_start")
    assert video.observed_at == PUBLISHED + timedelta(hours=200)
    # YouTube used one definition of a view for this count, and another definition for the latest count.
    assert np.isnan(video.views_at_24)
    assert video.views_at_72 == 1_500
    # The estimate for the age of 168 hours is 3,300 views. But the count at the age of 200 hours is only 3,000, as if
    # YouTube had removed views. The row has 3,000, because views at an age never exceed a later count.
    assert video.views_at_168 == 3_000
    assert np.isnan(video.views_at_720)
    assert np.isnan(video.click_through_rate)


def test_a_row_has_the_outcome_of_the_crawl_and_the_subscribers_of_the_channel(rows: VideoRows) -> None:
    rows.add("v", (30, 1_000, "qualified"), channel="c")
    rows.add("w", (30, 1_000, "qualified"))
    with rows.lab.engine.begin() as connection:
        connection.execute(insert(crawl_channels).values(channel_id="d", niche="tech", found_at=PUBLISHED))
        crawled = {"video_id": "w", "channel_id": "d", "niche": "tech", "published_at": PUBLISHED, "outcome": OUTLIER}
        connection.execute(insert(crawl_videos).values(crawled))
    corpus = read_corpus(rows.lab, "i", "t").set_index("video_id")
    assert corpus.subscriber_count["v"] == 99
    assert np.isnan(corpus.subscriber_count["w"])
    assert corpus.outcome.dropna().to_dict() == {"w": OUTLIER}


def test_an_empty_lab_gives_an_empty_corpus_and_empty_pairs(rows: VideoRows) -> None:
    assert read_corpus(rows.lab, "i", "t").empty
    built = pairs.build_pairs(rows.lab)
    assert built.release.info["videos"] == 0
    assert pairs.build_pairs(rows.lab).reused
