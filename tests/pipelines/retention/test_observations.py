"""Test when the lab reads the counts of a video from YouTube again."""

import dataclasses
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from full_lab import NICHE, SECRET, FullLab
from sqlalchemy import select, text

from demo import faults
from demo.catalogues.synthetic import SyntheticCatalogue
from demo.emulator import Emulator
from thumblab_core.database.tables import video_stats, videos
from thumblab_core.errors import LabError
from thumblab_pipelines.collection.observe import check_observation, observe
from thumblab_pipelines.collection.refresh import collect
from thumblab_pipelines.features.views_at_age import compute_views_at_age
from thumblab_pipelines.lab import Lab


def test_only_videos_that_are_due_are_observed(full: FullLab) -> None:
    assert observe(full.lab, NICHE).due == 0
    full.emulator.advance(timedelta(hours=6))
    young = observe(full.lab, NICHE)
    full.emulator.advance(timedelta(hours=18))
    day = observe(full.lab, NICHE)
    full.emulator.advance(timedelta(days=7))
    week = observe(full.lab, NICHE)
    ages = {v.video_id: full.emulator.now - v.published_at for v in full.emulator._world._source.videos.values()}
    assert young.due < day.due < week.due
    assert week.due == sum(ages[video_id] < timedelta(days=91) for video_id in full.ids)
    assert week.observed == week.due
    assert week.quota.spent["stats"] == -(-week.due // 50)
    assert week.quota.spent["units"] == 0
    with full.lab.engine.connect() as connection:
        shrunk = connection.execute(
            text("""SELECT count(*) FROM video_stats a JOIN video_stats b USING (video_id)
                    WHERE a.observed_at < b.observed_at AND a.view_count > b.view_count""")
        ).scalar_one()
        eras = set(connection.scalars(select(video_stats.c.era).distinct()))
    assert shrunk == 0
    assert eras == {"playback_start"}


def test_without_a_key_videos_from_youtube_cannot_be_observed_and_that_is_an_error(full: FullLab) -> None:
    with pytest.raises(LabError, match="no YouTube API key is set"):
        observe(full.with_settings(youtube_api_key=None), NICHE)


def test_views_at_a_fixed_age_are_computed_from_daily_observations(
    full: FullLab, catalogue: SyntheticCatalogue
) -> None:
    for _ in range(8):
        full.emulator.advance(timedelta(days=1))
        observe(full.lab, NICHE)
    known = compute_views_at_age(full.lab, NICHE).known
    assert known[168] > 0


def test_a_missing_video_is_asked_for_again_before_it_is_deleted(full: FullLab) -> None:
    gone, missed = full.ids[-1], full.ids[-2]
    full.emulator.remove(gone)
    full.emulator.advance(timedelta(days=7))
    observed = observe(full.lab, NICHE)
    assert observed.gone == 1
    assert "videos" not in full.rows(gone)
    assert "videos" in full.rows(missed)
    assert all(check.passed for check in check_observation(observed))


def test_a_premiere_becomes_a_video_once_it_was_shown(
    open_lab: Callable[..., Lab], catalogue: SyntheticCatalogue
) -> None:
    from catalogues import Edited

    from thumblab_pipelines.collection.refresh import check_collection

    announced_ids = [v.video_id for v in catalogue.videos.values() if v.niche == NICHE][:2]

    def announced(video: Any) -> Any:
        if video.video_id not in announced_ids:
            return video
        return dataclasses.replace(video, broadcast="upcoming", published_at=catalogue.observed_at + timedelta(days=3))

    with Emulator(Edited(catalogue, announced), key=SECRET) as emulator:
        lab = open_lab(youtube_endpoint=emulator.endpoint, youtube_api_key=SECRET, crawl_channels=1)
        collect(lab, NICHE)
    assert _formats(lab, announced_ids) == {"upcoming"}
    week = catalogue.observed_at + timedelta(days=7)

    def held(video: Any) -> Any:
        moment = week - timedelta(hours=30)
        return dataclasses.replace(video, published_at=moment) if video.video_id in announced_ids else video

    with Emulator(Edited(catalogue, held, week), key=SECRET) as emulator:
        later = dataclasses.replace(
            lab, settings=lab.settings.model_copy(update={"youtube_endpoint": emulator.endpoint})
        )
        observe(later, NICHE)
    assert _formats(lab, announced_ids) == {"video"}
    assert all(check.passed for check in check_collection(lab, NICHE)), check_collection(lab, NICHE)


def _formats(lab: Lab, video_ids: list[str]) -> set[str]:
    with lab.engine.connect() as connection:
        return set(connection.scalars(select(videos.c.format).where(videos.c.video_id.in_(video_ids))))


def test_an_observation_without_quota_says_when_it_can_continue(full: FullLab) -> None:
    full.emulator.advance(timedelta(days=7))
    full.emulator.inject(faults.refusal(403, "quotaExceeded"), endpoint="videos:batchGetStats")
    stopped = observe(full.lab, NICHE)
    assert stopped.stopped is not None
    assert "08:00 UTC" in stopped.stopped
    full.emulator.advance(timedelta(days=1))
    after = observe(full.lab, NICHE)
    assert after.stopped is None
    assert after.observed == after.due > 0
