"""Tests that the crawl finds every video with as few units of quota as possible.

If the quota or an error stops a run, the next run continues the crawl.
"""

import dataclasses
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from catalogues import Edited
from crawl_lab import least_units, outcomes
from lab_setup import at, stored
from sqlalchemy import select, text

from demo import faults
from demo.catalogues.source import CatalogueVideo
from demo.catalogues.synthetic import SyntheticCatalogue
from demo.catalogues.vast import vast_catalogue
from demo.emulator import Emulator
from thumblab_core.database.tables import crawl_searches
from thumblab_core.errors import LabError
from thumblab_core.niches import DEFAULT_NAMES
from thumblab_pipelines.collection.crawl import check_crawl, crawl
from thumblab_pipelines.collection.crawl_names import add_channels
from thumblab_pipelines.collection.crawl_plan import plan_crawl
from thumblab_pipelines.collection.crawl_rules import KEPT, OUTLIER
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.youtube.errors import YouTubeError


def test_every_video_of_every_channel_is_found_at_the_least_cost(lab: Lab, tech: SyntheticCatalogue) -> None:
    with Emulator(tech) as emulator:
        crawled = crawl(at(lab, emulator), "tech")
        spent = emulator.counts.spent
    expected = {video.video_id for video in tech.videos.values() if video.niche == "tech"}
    assert crawled.stopped is None
    assert stored(lab) == expected == set(outcomes(lab))
    assert crawled.counted.kept + crawled.counted.videos.get(OUTLIER, 0) == len(expected)
    assert spent["units"] == least_units(tech, "tech") == crawled.quota.spent["units"]
    assert spent["searches"] == crawled.quota.spent["searches"]
    assert all(check.passed for check in check_crawl(crawled))


def test_a_second_crawl_needs_no_calls_and_after_a_week_only_calls_for_new_videos(
    lab: Lab, tech: SyntheticCatalogue
) -> None:
    with Emulator(tech) as emulator:
        crawl(at(lab, emulator), "tech")
        again = crawl(at(lab, emulator), "tech")
    assert again.quota.spent == {"units": 0, "searches": 0, "stats": 0}
    assert again.videos_looked_at == 0
    newer = next(v for v in tech.videos.values() if v.niche == "tech")
    later = tech.observed_at + timedelta(days=8)
    fresh = dataclasses.replace(newer, video_id="newuploaded", published_at=later - timedelta(hours=30))
    grown = _WithMoreVideos(tech, [fresh], later)
    with Emulator(grown) as emulator:
        crawled = crawl(at(lab, emulator, crawl_channels=1), "tech")
    walked = sum(channel.niche == "tech" for channel in tech.channels.values())
    assert crawled.videos_looked_at == 1
    assert crawled.quota.spent["units"] == walked + 1
    assert outcomes(lab)["newuploaded"] == KEPT


class _WithMoreVideos(Edited):
    """A copy of a catalogue with more videos.

    The copy has no pictures for the added videos, because the tests need none.
    """

    def __init__(self, source: Any, more: list[CatalogueVideo], at: Any) -> None:
        super(Edited, self).__init__([*source.videos.values(), *more], at)
        self._source = source

    def image_size(self, video_id: str) -> tuple[int, int]:
        return (320, 180)


@pytest.mark.parametrize("style", ["403", "429"])
def test_a_crawl_of_several_days_stops_with_the_quota_and_ends_with_the_same_videos(
    lab: Lab, open_lab: Callable[..., Lab], tech: SyntheticCatalogue, style: Any
) -> None:
    with Emulator(tech) as emulator:
        crawl(at(lab, emulator), "tech")
        whole, at_once = outcomes(lab), emulator.counts.spent["units"]
    other = open_lab()
    days = []
    with Emulator(tech, daily_units=3, quota_style=style) as emulator:
        while len(days) < 20:
            crawled = crawl(at(other, emulator), "tech")
            days.append(crawled)
            assert all(check.passed for check in check_crawl(crawled))
            if crawled.stopped is None:
                break
            assert "spent" in crawled.stopped
            assert "08:00 UTC" in crawled.stopped
            emulator.advance(timedelta(days=1))
    assert 2 < len(days) < 8
    assert days[-1].stopped is None
    # The crawl of several days made the same decisions as the crawl of one day. The crawl of several days may have
    # found fewer videos, because some videos became too old before the crawl reached their channel.
    assert {name: whole[name] for name in outcomes(other)} == outcomes(other)
    assert len(outcomes(other)) > 0.9 * len(whole)
    assert emulator.counts.spent["units"] <= at_once + 2


def test_the_crawl_leaves_the_daily_refresh_its_share_of_the_quota(lab: Lab, tech: SyntheticCatalogue) -> None:
    with Emulator(tech) as emulator:
        limits = {"quota_units": 12, "quota_kept_units": 9, "quota_searches": 5, "quota_kept_searches": 3}
        crawled = crawl(at(lab, emulator, **limits), "tech")
    assert emulator.counts.spent == {"units": 3, "searches": 1, "stats": 0}
    assert crawled.stopped is not None
    assert "9 are kept for the daily refresh" in crawled.stopped


def test_a_refused_page_token_starts_the_walk_again(lab: Lab) -> None:
    with Emulator(vast_catalogue(channels=7, videos=1_400)) as emulator:
        chosen = at(lab, emulator, crawl_channels=1, crawl_threads=1)
        emulator.inject(faults.refusal(400, "invalidPageToken"), endpoint="playlistItems", times=1, after=1)
        crawled = crawl(chosen, "tech")
        pages = emulator.counts.calls["playlistItems"]
    listed = len(outcomes(lab))
    assert crawled.stopped is None
    assert crawled.counted.channels_excluded == {}
    assert listed > 100
    # The crawl makes one call for each page of the list, and two more calls. One of the two is the refused call, and
    # the other reads the first page again.
    assert pages == -(-listed // 50) + 2


def test_a_refused_page_token_loses_no_video_when_a_known_channel_is_walked_again(
    lab: Lab, tech: SyntheticCatalogue
) -> None:
    with Emulator(tech) as emulator:
        crawl(at(lab, emulator), "tech")
    later = tech.observed_at + timedelta(days=8)
    # One worker walks the channels in the order of their ids. So the second request is for the second page of the first
    # channel.
    one = min((v for v in tech.videos.values() if v.niche == "tech"), key=lambda video: video.channel_id)
    fresh = [
        dataclasses.replace(one, video_id=f"newupload{n:02}", published_at=later - timedelta(hours=30 + n))
        for n in range(70)
    ]
    with Emulator(_WithMoreVideos(tech, fresh, later)) as emulator:
        emulator.inject(faults.refusal(400, "invalidPageToken"), endpoint="playlistItems", times=1, after=1)
        crawl(at(lab, emulator, crawl_channels=1, crawl_threads=1), "tech")
    assert {video.video_id for video in fresh} <= set(outcomes(lab))


def test_a_page_that_is_always_refused_ends_the_walk(lab: Lab) -> None:
    with Emulator(vast_catalogue(channels=7, videos=1_400)) as emulator:
        chosen = at(lab, emulator, crawl_channels=1, crawl_threads=1)
        # Only the first request for a page is answered. All later requests are refused, even requests for the first
        # page.
        emulator.inject(faults.refusal(400, "invalidPageToken"), endpoint="playlistItems", times=None, after=1)
        crawled = crawl(chosen, "tech")
        assert emulator.counts.calls["playlistItems"] < 10
    assert crawled.counted.channels_to_walk == 0


def test_the_error_page_of_a_proxy_excludes_no_channel(lab: Lab, tech: SyntheticCatalogue) -> None:
    with Emulator(tech) as emulator:
        emulator.inject(faults.html_error(403), endpoint="playlistItems", times=None, after=1)
        with pytest.raises(YouTubeError):
            crawl(at(lab, emulator), "tech")
        emulator.heal()
        crawled = crawl(at(lab, emulator), "tech")
    assert crawled.counted.channels_excluded == {}
    assert stored(lab) == {v.video_id for v in tech.videos.values() if v.niche == "tech"}


def test_a_server_error_fails_the_run_and_the_next_run_continues(lab: Lab, tech: SyntheticCatalogue) -> None:
    with Emulator(tech) as emulator:
        emulator.inject(faults.refusal(503, "backendError"), endpoint="videos", times=None, after=1)
        with pytest.raises(YouTubeError, match="problem of its own"):
            crawl(at(lab, emulator), "tech")
        assert 0 < len(stored(lab)) < sum(v.niche == "tech" for v in tech.videos.values())
        emulator.heal()
        crawl(at(lab, emulator), "tech")
    assert stored(lab) == {v.video_id for v in tech.videos.values() if v.niche == "tech"}


def test_each_week_is_searched_once(lab: Lab, tech: SyntheticCatalogue) -> None:
    with Emulator(tech) as emulator:
        first = crawl(at(lab, emulator), "tech")
        emulator.advance(timedelta(days=1))
        second = crawl(at(lab, emulator), "tech")
    # By default, the crawl looks for 215 channels. The crawl stopped at five channels, because four searches in a row
    # found no new channel.
    assert first.counted.channels == 5
    assert 5 <= first.quota.spent["searches"] <= 8
    assert second.quota.spent["searches"] == 0
    with lab.engine.connect() as connection:
        weeks = connection.execute(select(crawl_searches.c.published_after, crawl_searches.c.published_before)).all()
    assert all(b - a == timedelta(days=7) for a, b in weeks)


def test_every_niche_has_its_share_of_the_days_searches(lab: Lab) -> None:
    with Emulator(vast_catalogue(channels=700, videos=30_000)) as emulator:
        chosen = at(lab, emulator, crawl_channels=100, crawl_days=7, quota_units=1)
        crawled = [crawl(chosen, niche) for niche in DEFAULT_NAMES]
    assert all(1 < niche.quota.spent["searches"] <= 11 for niche in crawled)
    assert all(niche.counted.channels > 30 for niche in crawled)


def test_channels_can_be_added_by_id_url_and_handle(lab: Lab, tech: SyntheticCatalogue) -> None:
    first, second, third = [channel for channel in tech.channels.values() if channel.niche == "tech"][:3]
    with Emulator(tech) as emulator:
        chosen = at(lab, emulator)
        url = f"https://www.youtube.com/channel/{second.channel_id}/videos"
        names = [first.channel_id, url, f"@{third.handle}", "@nobody.at.all", first.channel_id]
        added = add_channels(chosen, "tech", names)
        assert (added.new, added.unknown) == (3, ["@nobody.at.all"])
        assert emulator.counts.spent["units"] == 2
        assert add_channels(chosen, "tech", names[:1]).new == 0
        link = f"https://www.youtube.com/@{third.handle}/videos"
        assert add_channels(chosen, "tech", [link, third.title]).new == 0
        with pytest.raises(LabError, match="'nonsense' is not a channel"):
            add_channels(chosen, "tech", [first.channel_id, "nonsense"])


def test_the_plan_matches_the_cost_and_spends_nothing(lab: Lab, tech: SyntheticCatalogue) -> None:
    sizes = [len(channel.videos) for channel in tech.channels.values() if channel.niche == "tech"]
    with Emulator(tech) as emulator:
        chosen = at(lab, emulator)
        planned = plan_crawl(chosen, ["tech"], channels=len(sizes), per_channel=sum(sizes) / len(sizes))
        assert emulator.counts.calls == {}
        crawled = crawl(chosen, "tech")
        # The crawl stores the time of each visit to a channel, by the emulator's clock. Some days later, the crawl
        # visits the channel again. This plan is for the time of the crawl, so there is no channel to visit yet.
        after = plan_crawl(chosen, ["tech"], channels=len(sizes), now=emulator.now)
    assert planned.units == pytest.approx(crawled.quota.spent["units"], rel=0.35)
    assert planned.niches[0].channels_to_find == len(sizes)
    assert (after.units, after.searches) == (0, 0)


def test_the_plan_for_1500_channels_takes_2_days_at_most_and_40_by_search_alone(lab: Lab) -> None:
    planned = plan_crawl(lab, DEFAULT_NAMES, channels=215)
    assert 9_000 < planned.units < 9_800
    assert planned.days <= 2
    assert planned.naive_days >= 40
    assert sum(row.videos_expected for row in planned.niches) == pytest.approx(200_000, rel=0.01)


def test_a_slow_answer_of_youtube_does_not_end_a_transaction_on_a_server_with_an_idle_timeout(
    open_lab: Callable[..., Lab], tech: SyntheticCatalogue
) -> None:
    lab = open_lab()
    name = lab.engine.url.database
    with lab.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"ALTER DATABASE {name} SET idle_in_transaction_session_timeout = '1s'"))
    lab.engine.dispose()
    with Emulator(tech) as emulator:
        emulator.inject(faults.slow(1.5), endpoint="playlistItems", times=1)
        assert crawl(at(lab, emulator, crawl_channels=1), "tech").counted.kept > 0
