"""Tests of implausible deletions.

A wrong answer of YouTube or a wrong clock must not make retention delete videos. No run deletes more than the allowed
share of a niche's videos, unless a person confirms the deletion.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from full_lab import EVERYWHERE, NICHE, FullLab
from sqlalchemy import func, select, update

from thumblab_core.database.tables import channels, videos
from thumblab_core.errors import LabError
from thumblab_pipelines.collection.observe import check_observation, observe
from thumblab_pipelines.retention.retention import check_retention, retain


def clock_at(moment: datetime) -> type[datetime]:
    """Return a class `datetime` whose method `now` always returns this moment."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return moment

    return Clock


def test_one_empty_answer_deletes_nothing(full: FullLab, monkeypatch: pytest.MonkeyPatch) -> None:
    from thumblab_pipelines.youtube.client import YouTube

    look, calls = YouTube.videos, []

    def empty_once(*given: Any) -> Any:
        calls.append(1)
        return [] if len(calls) == 1 else look(*given)

    monkeypatch.setattr(YouTube, "videos", empty_once)
    full.emulator.advance(timedelta(days=26))
    retained = retain(full.lab, NICHE)
    assert (retained.deleted, retained.refreshed) == ({}, 0)
    # The failed call did not count as a refresh, so the next run refreshes the videos.
    assert retain(full.lab, NICHE).refreshed == len(full.ids)


def test_a_video_whose_facts_cannot_be_read_is_not_deleted(full: FullLab, monkeypatch: pytest.MonkeyPatch) -> None:
    from thumblab_pipelines.youtube import answers

    odd, read = full.ids[0], answers.parse_video

    def unreadable(item: dict[str, Any], *rest: Any) -> Any:
        if item["id"] == odd:
            raise ValueError("publishedAt")
        return read(item, *rest)

    monkeypatch.setattr(answers, "parse_video", unreadable)
    full.emulator.advance(timedelta(days=26))
    retained = retain(full.lab, NICHE)
    assert (retained.deleted, retained.refreshed) == ({}, len(full.ids) - 1)
    assert "videos" in full.rows(odd)


def test_an_answer_without_any_channel_deletes_nothing(full: FullLab, monkeypatch: pytest.MonkeyPatch) -> None:
    from thumblab_pipelines.retention import refreshing
    from thumblab_pipelines.youtube.errors import YouTubeError

    monkeypatch.setattr(refreshing, "_IMPLAUSIBLE_CLOSURES", 1)
    with full.lab.engine.connect() as connection:
        for channel_id in connection.scalars(select(channels.c.channel_id)):
            full.emulator.close_channel(channel_id)
    full.emulator.advance(timedelta(days=26))
    with pytest.raises(YouTubeError, match="This is implausible"):
        retain(full.lab, NICHE)
    assert "videos" in full.rows(full.ids[0])


def test_a_clock_that_is_ahead_deletes_nothing_while_youtube_does_not_answer(
    full: FullLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    from thumblab_pipelines.retention import retention

    away = full.with_settings(youtube_endpoint="http://127.0.0.1:9/")
    ahead = max(full.emulator.now, datetime.now(UTC)) + timedelta(days=31)
    monkeypatch.setattr(retention, "datetime", clock_at(ahead))
    # This patch makes the lab use the same clock as its database server, as on one machine.
    monkeypatch.setattr(retention, "earlier_clock", lambda _, own: own)
    with pytest.raises(LabError, match=r"40 not refreshed in 30 days by this machine's clock alone.*confirmed: true"):
        retain(away, NICHE)
    assert set(full.rows(full.ids[0])) == EVERYWHERE
    assert len(list(full.lab.images.root.glob("??/*"))) >= 40
    # A person confirms that the clock is right. The videos are then deleted, although YouTube still does not answer.
    with pytest.raises(LabError, match=r"127\.0\.0\.1:9"):
        retain(away, NICHE, confirmed=True)
    assert full.rows(full.ids[0]) == {}


def test_a_clock_that_is_ahead_deletes_nothing_if_the_clock_of_the_database_server_is_right(
    full: FullLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    from thumblab_pipelines.retention import retention

    away = full.with_settings(youtube_endpoint="http://127.0.0.1:9/")
    with full.lab.engine.begin() as connection:
        connection.execute(update(videos).values(refreshed_at=func.now(), collected_at=func.now()))
    monkeypatch.setattr(retention, "datetime", clock_at(datetime.now(UTC) + timedelta(days=400)))
    # A person confirms the deletion by mistake. Nothing is deleted, because the clock of the database server is right.
    with pytest.raises(LabError, match=r"127\.0\.0\.1:9"):
        retain(away, NICHE, confirmed=True)
    assert set(full.rows(full.ids[0])) == EVERYWHERE


def test_if_too_many_videos_expire_the_oldest_are_deleted_up_to_the_allowed_share(full: FullLab) -> None:
    careful = full.with_settings(forget_share=0.2, training_days=20)
    with full.lab.engine.begin() as connection:
        connection.execute(update(videos).values(collected_at=full.emulator.now + timedelta(days=20)))
        for days, video_id in enumerate(full.ids[:9]):
            of_video = update(videos).where(videos.c.video_id == video_id)
            connection.execute(of_video.values(collected_at=full.emulator.now - timedelta(days=days)))
    full.emulator.advance(timedelta(days=21))
    retained = retain(careful, NICHE)
    assert retained.deleted == {"at the end of their time in the library": 8}
    assert "videos" in full.rows(full.ids[0])
    assert full.rows(full.ids[1]) == {}
    assert not retained.withheld.passed
    assert retained.withheld.explanation.startswith("1 at the end of their time in the library. At most 8 of 40 videos")
    assert retain(careful, NICHE).deleted == {"at the end of their time in the library": 1}


@pytest.mark.parametrize("why", ["videos are gone", "a channel is closed", "no quota for 30 days"])
def test_more_than_a_share_of_a_niche_is_deleted_only_if_a_person_confirms(full: FullLab, why: str) -> None:
    careful = full.with_settings(forget_share=0.2)
    victims = full.ids[:9]
    if why == "videos are gone":
        for video_id in victims:
            full.emulator.remove(video_id)
    elif why == "a channel is closed":
        with full.lab.engine.connect() as connection:
            channel = select(videos.c.channel_id).where(videos.c.video_id == full.ids[0])
            closed = connection.execute(channel).scalar_one()
            victims = list(connection.scalars(select(videos.c.video_id).where(videos.c.channel_id == closed)))
        full.emulator.close_channel(closed)
    else:
        careful = full.with_settings(forget_share=0.2, quota_units=0)
        with full.lab.engine.begin() as connection:
            connection.execute(update(videos).values(refreshed_at=full.emulator.now + timedelta(days=20)))
            of_victims = update(videos).where(videos.c.video_id.in_(victims))
            connection.execute(of_victims.values(refreshed_at=full.emulator.now - timedelta(days=10)))
    full.emulator.advance(timedelta(days=26))
    retained = retain(careful, NICHE)
    assert retained.deleted == {}
    (withheld,) = [check for check in check_retention(full.lab, NICHE, retained) if not check.passed]
    assert withheld.name == "not_too_many"
    assert "At most 8 of 40 videos" in withheld.explanation
    assert "retention with the config confirmed: true" in withheld.explanation
    assert all("videos" in full.rows(video_id) for video_id in victims)
    retained = retain(careful, NICHE, confirmed=True)
    assert sum(retained.deleted.values()) == len(victims)
    assert all(check.passed for check in check_retention(full.lab, NICHE, retained))
    assert full.rows(victims[0]) == {}


def test_if_youtube_knows_no_video_any_more_nothing_is_deleted(full: FullLab, monkeypatch: pytest.MonkeyPatch) -> None:
    from thumblab_pipelines.youtube.client import YouTube

    monkeypatch.setattr(YouTube, "videos", lambda *_: [])
    monkeypatch.setattr(YouTube, "existing_videos", lambda *_: set())
    monkeypatch.setattr(YouTube, "statistics", lambda self, ids: ([], self.now))
    full.emulator.advance(timedelta(days=7))
    observed = observe(full.lab, NICHE)
    assert 5 < observed.due == observed.gone
    check = check_observation(observed)[-1]
    assert not check.passed
    assert f"{observed.due} removed or private" in check.explanation
    assert "view_history with the config confirmed: true" in check.explanation
    assert all("videos" in full.rows(video_id) for video_id in full.ids)
    full.emulator.advance(timedelta(days=19))
    assert retain(full.lab, NICHE).deleted == {}
    assert all("videos" in full.rows(video_id) for video_id in full.ids)
