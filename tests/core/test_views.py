"""Test the eras of view counts.

YouTube has changed the definition of a view: first for Shorts, and later for other videos. An era is
a time in which YouTube used one definition. The eras of Shorts and of other videos differ.
"""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from thumblab_core.views import PLAYBACK_START, QUALIFIED, era

SHORTS_CHANGED = datetime(2025, 3, 31, tzinfo=UTC)
ALL_CHANGED = datetime(2026, 8, 24, tzinfo=UTC)
MOMENT = timedelta(microseconds=1)


@pytest.mark.parametrize("kind", ["video", "live", "upcoming"])
def test_counts_are_playback_starts_from_24_august_2026(kind: str) -> None:
    assert era(kind, ALL_CHANGED - MOMENT) == QUALIFIED
    assert era(kind, ALL_CHANGED) == PLAYBACK_START


def test_shorts_changed_a_year_earlier_than_everything_else() -> None:
    assert era("short", SHORTS_CHANGED - MOMENT) == QUALIFIED
    assert era("short", SHORTS_CHANGED) == PLAYBACK_START
    assert era("video", SHORTS_CHANGED) == QUALIFIED


def test_the_era_depends_on_the_moment_and_not_on_its_time_zone() -> None:
    hobart = timezone(timedelta(hours=10))
    assert era("video", datetime(2026, 8, 24, 9, 59, tzinfo=hobart)) == QUALIFIED
    assert era("video", datetime(2026, 8, 24, 10, 0, tzinfo=hobart)) == PLAYBACK_START


def test_a_datetime_without_a_time_zone_is_refused() -> None:
    with pytest.raises(TypeError):
        era("video", datetime(2026, 8, 24))
