"""Tests of the table `views_at_age`.

For every video of a niche, the table contains the views at fixed ages. These views are estimated from the video's
observations.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from observed import ERA, PUBLISHED, Observed
from sqlalchemy import delete, text, update

from thumblab_core.database.tables import video_stats, videos
from thumblab_pipelines.features import views_at_age
from thumblab_pipelines.features.fixed_age import FIXED_AGES
from thumblab_pipelines.features.views_at_age import ViewsAtAge, compute_views_at_age
from thumblab_pipelines.lab import Lab

STORED = "SELECT video_id, age_hours, views, era, before_hours, after_hours FROM views_at_age ORDER BY 1, 2"


@pytest.fixture
def seen(open_lab: Callable[..., Lab]) -> Observed:
    return Observed(open_lab())


def test_the_fixed_ages_are_a_day_three_days_a_week_and_thirty_days() -> None:
    assert [hours / 24 for hours in FIXED_AGES] == [1, 3, 7, 30]


def test_views_are_saved_for_each_age_that_the_observations_enclose(seen: Observed) -> None:
    seen.video("a", (18, 1_000), (32, 2_000), (72, 5_000), (160, None), (200, 9_000), (900, 10_000))
    computed = compute_views_at_age(seen.lab, "tech")
    # The age of 168 h lies between the observations at the ages of 72 h and 200 h. The age of 720 h lies between the
    # observations at the ages of 200 h and 900 h. In both cases, the two observations are too far apart for an
    # estimate.
    assert seen.rows(STORED) == [("a", 24, pytest.approx(1_500), ERA, 18, 32), ("a", 72, 5_000, ERA, 72, 72)]
    assert (computed.videos, computed.observed_again, computed.known) == (1, 1, {24: 1, 72: 1, 168: 0, 720: 0})


def test_counts_of_two_definitions_of_a_view_are_never_mixed(seen: Observed) -> None:
    seen.video("changed", (20, 1_000, "qualified"), (28, 2_000, ERA))
    seen.video("before", (20, 1_000, "qualified"), (28, 2_000, "qualified"), (100, 9_000, ERA))
    assert compute_views_at_age(seen.lab, "tech").known[24] == 1
    assert [(row.video_id, row.era) for row in seen.rows(STORED)] == [("before", "qualified")]


def test_a_video_with_at_most_one_count_has_no_views_at_another_age(seen: Observed) -> None:
    seen.video("once", (23, 1_000), (30, None))
    seen.video("never")
    seen.video("uncounted", (20, None), (24, None), (30, None))
    computed = compute_views_at_age(seen.lab, "tech")
    assert (computed.videos, computed.observed_again, sum(computed.known.values())) == (3, 0, 0)
    assert seen.rows(STORED) == []


@pytest.mark.parametrize("kind", ["video", "short", "live", "upcoming"])
def test_the_format_of_a_video_makes_no_difference(seen: Observed, kind: str) -> None:
    seen.video("a", (20, 1_000), (30, 1_100), kind=kind)
    assert compute_views_at_age(seen.lab, "tech").known[24] == 1


def test_computing_again_changes_nothing_and_a_closer_observation_replaces_an_estimate(seen: Observed) -> None:
    seen.video("a", (16, 1_000), (32, 1_000))
    first = compute_views_at_age(seen.lab, "tech")
    stored = seen.rows(STORED)
    assert compute_views_at_age(seen.lab, "tech") == replace(first, estimated=0)
    assert seen.rows(STORED) == stored
    seen.observe("a", (24, 900))
    compute_views_at_age(seen.lab, "tech")
    assert [row.views for row in seen.rows(STORED)] == [900]


def test_estimates_that_the_observations_no_longer_support_are_deleted(seen: Observed) -> None:
    seen.video("a", (20, 1_000), (30, 1_100))
    seen.video("moved", (20, 1_000), (30, 1_100))
    assert compute_views_at_age(seen.lab, "tech").known[24] == 2
    seen.do(delete(video_stats).where(video_stats.c.video_id == "a"))
    # The video is now published 15 hours later. Its ages at its two observations are therefore 5 and 15 hours.
    seen.do(update(videos).where(videos.c.video_id == "moved").values(published_at=PUBLISHED + timedelta(hours=15)))
    assert compute_views_at_age(seen.lab, "tech").known[24] == 0
    assert seen.rows(STORED) == []


def test_only_videos_whose_counts_changed_are_estimated_and_written_again(seen: Observed) -> None:
    for number in range(5):
        seen.video(f"v{number}", (20, 1_000), (30, 1_100))
    assert compute_views_at_age(seen.lab, "tech").estimated == 5
    before = {row.video_id: row for row in seen.rows("SELECT video_id, xmin, views FROM views_at_age")}
    seen.observe("v1", (24, 1_050))
    seen.do(text("UPDATE video_stats SET view_count = view_count + 10 WHERE video_id = 'v3'"))
    assert compute_views_at_age(seen.lab, "tech") == ViewsAtAge(5, 5, {24: 5, 72: 0, 168: 0, 720: 0}, estimated=2)
    after = {row.video_id: row for row in seen.rows("SELECT video_id, xmin, views FROM views_at_age")}
    # If PostgreSQL writes a row again, the column `xmin` of the row changes. The test can therefore see which rows were
    # written.
    assert {video_id for video_id in before if before[video_id] != after[video_id]} == {"v1", "v3"}
    assert after["v1"].views == 1_050


def test_another_niche_keeps_its_views_at_age(seen: Observed) -> None:
    seen.video("a", (20, 1_000), (30, 1_100), niche="news")
    compute_views_at_age(seen.lab, "news")
    assert compute_views_at_age(seen.lab, "tech").known[24] == 0
    assert [row.video_id for row in seen.rows(STORED)] == ["a"]


def test_many_videos_are_read_in_blocks_without_losing_any(seen: Observed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views_at_age, "_BLOCK", 2)
    for number in range(5):
        seen.video(f"v{number}", (20, number), (30, number))
    assert compute_views_at_age(seen.lab, "tech").known[24] == 5
    assert [(row.video_id, row.views) for row in seen.rows(STORED)] == [(f"v{n}", n) for n in range(5)]


def test_a_crash_leaves_the_previous_rows(seen: Observed, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        seen.video(f"v{number}", (20, 100), (30, 100))
    compute_views_at_age(seen.lab, "tech")
    stored = seen.rows(STORED)
    seen.do(text("UPDATE video_stats SET view_count = 200"))
    monkeypatch.setattr(views_at_age, "_BLOCK", 1)
    calls = iter([views_at_age.views_at_ages])
    monkeypatch.setattr(views_at_age, "views_at_ages", lambda *given: next(calls)(*given))
    with pytest.raises(StopIteration):
        compute_views_at_age(seen.lab, "tech")
    assert seen.rows(STORED) == stored
