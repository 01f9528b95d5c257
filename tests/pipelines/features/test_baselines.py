"""Tests of channel baselines, and of the outlier multiples that are computed from the baselines.

A baseline is the median of the latest counts of a channel's videos, over all ages or in one age band. The outlier
multiple of a video is its views, or its views per hour, divided by a baseline of its channel.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest
from observed import Observed
from sqlalchemy import delete, text

from thumblab_core.database.tables import videos
from thumblab_pipelines.features.baselines import Baselines, check_baselines, compute_baselines
from thumblab_pipelines.lab import Lab

STORED = """
SELECT channel_id, age_band, video_count, median_views, median_views_per_hour
FROM channel_baselines WHERE niche = 'tech' ORDER BY 1, 2
"""
MULTIPLES = "SELECT video_id, outlier_multiple FROM ref_thumbnails ORDER BY 1"
NONE = Baselines(channels=0, bands={}, silent=0, lowest=0.0, highest=0.0)


@pytest.fixture
def seen(open_lab: Callable[..., Lab]) -> Observed:
    return Observed(open_lab())


def multiples(seen: Observed) -> dict[str, float | None]:
    return {row.video_id: row.outlier_multiple for row in seen.rows(MULTIPLES)}


def passed(computed: Baselines) -> bool:
    (check,) = check_baselines(computed)
    assert check.name == "positive"
    return check.passed


def test_baselines_are_medians_of_the_latest_counts_over_all_ages_and_per_band(seen: Observed) -> None:
    seen.video("a", (10, 5), (20, 200), (21, None))
    seen.video("b", (10, 100))
    seen.video("c", (40, 1_200))
    seen.video("d", (200, 9_000))
    computed = compute_baselines(seen.lab, "tech")
    # The videos a, b, c and d have 10, 10, 30 and 45 views per hour. Only d, which is 200 hours old, is in the age band
    # of 7-30 days.
    assert seen.rows(STORED) == [("c", "0-2 days", 3, 200, 10), ("c", "all", 4, 700, 20)]
    assert computed == Baselines(channels=1, bands={"0-2 days": 1}, silent=0, lowest=20, highest=20)


def test_any_number_of_outdated_baselines_is_deleted(seen: Observed) -> None:
    channels = """
    INSERT INTO channels (channel_id, title) SELECT 'channel' || number, 'A channel' FROM generate_series(1, 22000) AS number
    """
    outdated = """
    INSERT INTO channel_baselines (niche, channel_id, age_band, video_count, median_views, median_views_per_hour)
    SELECT 'tech', 'channel' || number, 'all', 3, 10, 1 FROM generate_series(1, 22000) AS number
    """
    with seen.lab.engine.begin() as connection:
        connection.execute(text(channels))
        connection.execute(text(outdated))
    seen.video("a", (10, 5))
    compute_baselines(seen.lab, "tech")
    assert seen.rows(STORED) == []


@pytest.mark.parametrize(
    ("hours", "band"),
    [
        (0, "0-2 days"), (47.9, "0-2 days"), (48, "2-7 days"), (167.9, "2-7 days"), (168, "7-30 days"),
        (720, "30-90 days"), (2_159.9, "30-90 days"), (2_160, "over 90 days"), (90_000, "over 90 days"),
    ],
)  # fmt: skip
def test_a_video_belongs_to_the_band_of_its_age_at_the_latest_count(seen: Observed, hours: float, band: str) -> None:
    for name in "abc":
        seen.video(name, (-1, 1), (hours, 100))
    compute_baselines(seen.lab, "tech")
    assert {row.age_band for row in seen.rows(STORED)} == {band, "all"}


@pytest.mark.parametrize("kind", ["short", "live", "upcoming"])
def test_only_ordinary_videos_count(seen: Observed, kind: str) -> None:
    for number in range(3):
        seen.video(f"other{number}", (10, 10**6), kind=kind)
        seen.video(f"video{number}", (10, 100))
    compute_baselines(seen.lab, "tech")
    assert {(row.video_count, row.median_views) for row in seen.rows(STORED)} == {(3, 100)}


def test_a_channel_with_fewer_than_three_videos_has_no_baseline(seen: Observed) -> None:
    for name in "abc":
        seen.video(name, (10, 100))
    seen.video("uncounted", (10, None))
    assert compute_baselines(seen.lab, "tech").channels == 1
    seen.do(delete(videos).where(videos.c.video_id == "c"))
    assert compute_baselines(seen.lab, "tech") == NONE
    assert seen.rows(STORED) == []


def test_only_the_baselines_of_channels_with_new_counts_are_written_again(seen: Observed) -> None:
    written = "SELECT channel_id, xmin FROM channel_baselines WHERE age_band = 'all' ORDER BY 1"
    for channel in ("c", "d"):
        for number in range(3):
            seen.video(f"{channel}{number}", (48, 1_000 + number), channel=channel)
    compute_baselines(seen.lab, "tech")
    before = dict(seen.rows(written))
    seen.observe("d1", (49, 5_000))
    compute_baselines(seen.lab, "tech")
    after = dict(seen.rows(written))
    # If PostgreSQL writes a row again, the column `xmin` of the row changes. The test can therefore see which rows were
    # written.
    assert after["c"] == before["c"]
    assert after["d"] != before["d"]


def test_another_niche_keeps_its_baselines(seen: Observed) -> None:
    for name in "abc":
        seen.video(name, (10, 100))
        seen.video(f"news-{name}", (10, 300), niche="news")
    compute_baselines(seen.lab, "news")
    compute_baselines(seen.lab, "tech")
    assert compute_baselines(seen.lab, "tech").channels == 1
    assert seen.rows("SELECT niche, median_views FROM channel_baselines WHERE age_band = 'all' ORDER BY 1") == [
        ("news", 300),
        ("tech", 100),
    ]


def test_a_channel_without_views_has_no_baseline_and_does_not_fail_the_check(seen: Observed) -> None:
    for name in "abc":
        seen.video(f"dead-{name}", (10, 0), channel="dead")
        seen.video(f"live-{name}", (10, 100), channel="live")
    computed = compute_baselines(seen.lab, "tech")
    assert (computed.channels, computed.silent, computed.lowest) == (1, 1, 10)
    assert {row.channel_id for row in seen.rows(STORED)} == {"live"}
    assert passed(computed)
    assert multiples(seen)["dead-a"] is None


def test_the_check_fails_if_most_channels_of_a_niche_have_no_views(seen: Observed) -> None:
    for name in "abc":
        seen.video(name, (10, 0))
    computed = compute_baselines(seen.lab, "tech")
    assert computed == replace(NONE, silent=1)
    assert not passed(computed)
    assert passed(NONE)


def test_the_multiple_compares_a_video_with_its_channels_videos_of_the_same_age(seen: Observed) -> None:
    for name, views in (("a", 100), ("b", 200), ("c", 600)):
        seen.video(name, (10, views))
    for name, views in (("d", 5_000), ("e", 10_000), ("f", 20_000)):
        seen.video(name, (1_000, views))
    compute_baselines(seen.lab, "tech")
    assert multiples(seen) == {"a": 0.5, "b": 1, "c": 3, "d": 0.5, "e": 1, "f": 2}


def test_the_multiple_uses_views_per_hour_if_the_band_has_too_few_videos(seen: Observed) -> None:
    for name, views in (("a", 100), ("b", 200), ("c", 600)):
        seen.video(name, (10, views))
    seen.video("old", (1_000, 100_000))
    compute_baselines(seen.lab, "tech")
    # The videos a, b, c and old have 10, 20, 60 and 100 views per hour. The median is 40, so the multiple of old is
    # 2.5.
    assert multiples(seen) == {"a": 0.5, "b": 1, "c": 3, "old": 2.5}


def test_the_multiple_uses_views_per_hour_if_the_band_has_no_views(seen: Observed) -> None:
    for name, views in (("a", 0), ("b", 0), ("c", 100)):
        seen.video(name, (10, views))
    for name in "def":
        seen.video(name, (1_000, 2_000))
    compute_baselines(seen.lab, "tech")
    # The videos a to f have 0, 0, 10, 2, 2 and 2 views per hour. The median is 2.
    assert [row.age_band for row in seen.rows(STORED)] == ["30-90 days", "all"]
    assert multiples(seen) == {"a": 0, "b": 0, "c": 5, "d": 1, "e": 1, "f": 1}


def test_a_video_of_a_channel_without_baseline_has_no_multiple(seen: Observed) -> None:
    seen.video("alone", (10, 100))
    compute_baselines(seen.lab, "tech")
    assert multiples(seen) == {"alone": None}
