"""Tests of the crawl's rules.

Each rule leaves out exactly the videos or channels that break it. The crawl counts what each rule left out.
"""

import dataclasses
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from catalogues import Edited
from crawl_lab import outcomes
from lab_setup import at, stored
from sqlalchemy import select

from demo.catalogues.source import CatalogueVideo
from demo.catalogues.synthetic import SyntheticCatalogue
from demo.emulator import Emulator
from thumblab_core.database.tables import channels, crawl_channels, videos
from thumblab_pipelines.collection.crawl import crawl
from thumblab_pipelines.collection.crawl_names import add_channels
from thumblab_pipelines.collection.crawl_rules import GONE, KEPT, OUTLIER
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.youtube.client import YouTube


def test_each_rule_leaves_out_its_videos_and_counts_them(lab: Lab, tech: SyntheticCatalogue) -> None:
    tech_videos = [v for v in tech.videos.values() if v.niche == "tech"]
    of_channel = Counter(v.channel_id for v in tech_videos)
    small, quiet = sorted(of_channel)[:2]
    others = [v for v in tech_videos if v.channel_id not in (small, quiet)]
    changes: dict[str, dict[str, Any]] = {
        others[0].video_id: {"duration_s": 59, "why": "under 1 minute"},
        others[1].video_id: {"duration_s": 3_601, "why": "over 60 minutes"},
        others[2].video_id: {"duration_s": 120, "aspect_ratio": 9 / 16, "why": "a Short"},
        others[3].video_id: {"broadcast": "live", "why": "live or upcoming"},
        others[4].video_id: {"broadcast": "upcoming", "why": "live or upcoming"},
        others[5].video_id: {"views": 999, "why": "under 1,000 views"},
        others[6].video_id: {"hidden_counts": True, "why": "views not told"},
        others[7].video_id: {"language": "fr-FR", "why": "in another language"},
        others[8].video_id: {"title": "Обзор нового телефона", "why": "in another language"},
        others[9].video_id: {"language": "en-AU", "why": KEPT},
        others[10].video_id: {"duration_s": 60, "why": KEPT},
        others[11].video_id: {"views": 500_000_000, "why": OUTLIER},
    }

    def change(video: CatalogueVideo) -> CatalogueVideo:
        facts = {k: v for k, v in changes.get(video.video_id, {}).items() if k != "why"}
        # All videos of `quiet` become older than 90 days, so the crawl excludes this channel.
        if video.channel_id == quiet:
            facts["published_at"] = tech.observed_at - timedelta(days=100 + len(video.title))
        if video.channel_id == small:
            facts["views"] = 3
        return dataclasses.replace(video, **facts)

    with Emulator(Edited(tech, change)) as emulator:
        chosen = at(lab, emulator, crawl_days=400)
        # The channel `quiet` has no recent videos, so a search would not find it.
        assert add_channels(chosen, "tech", [quiet]).new == 1
        crawled = crawl(chosen, "tech")
    assert {name: outcomes(lab)[name] for name in changes} == {name: c["why"] for name, c in changes.items()}
    assert crawled.counted.channels_excluded == {
        "under 100 subscribers": 1,
        "fewer than 10 videos in 90 days": 1,
    }
    counted = Counter(outcomes(lab).values())
    assert crawled.counted.videos == dict(counted)
    # The lab stores no video that a rule left out, except for outliers. An outlier is stored because it may be a
    # winner. The log views per hour of an outlier are more than 3 standard deviations from the mean of its channel.
    assert stored(lab) == {name for name, outcome in outcomes(lab).items() if outcome in (KEPT, OUTLIER)}
    with lab.engine.connect() as connection:
        assert not set(connection.scalars(select(videos.c.channel_id).distinct())) & {small, quiet}


def test_an_inactive_channel_needs_one_page_and_no_video_is_fetched(lab: Lab, tech: SyntheticCatalogue) -> None:
    old = Edited(tech, lambda v: dataclasses.replace(v, published_at=v.published_at - timedelta(days=85)))
    with Emulator(old) as emulator, lab.engine.begin() as connection:
        for channel in old.channels.values():
            if channel.niche == "tech":
                connection.execute(channels.insert().values(channel_id=channel.channel_id, title=channel.title))
                row = {"channel_id": channel.channel_id, "niche": "tech", "found_at": emulator.now}
                connection.execute(crawl_channels.insert().values(**row))
        connection.commit()
        crawled = crawl(at(lab, emulator, crawl_channels=1), "tech")
        walked = emulator.counts.calls["playlistItems"]
    assert walked == sum(channel.niche == "tech" for channel in old.channels.values())
    assert (crawled.videos_looked_at, outcomes(lab)) == (0, {})
    assert set(crawled.counted.channels_excluded) == {"fewer than 10 videos in 90 days"}


@pytest.mark.parametrize("how", ["named", "a month later"])
def test_a_channel_that_was_left_out_is_checked_again(lab: Lab, tech: SyntheticCatalogue, how: str) -> None:
    late = next(channel.channel_id for channel in tech.channels.values() if channel.niche == "tech")

    def few(video: CatalogueVideo) -> CatalogueVideo:
        return dataclasses.replace(video, views=3) if video.channel_id == late else video

    with Emulator(Edited(tech, few)) as emulator:
        assert crawl(at(lab, emulator), "tech").counted.channels_excluded == {"under 100 subscribers": 1}
        again = crawl(at(lab, emulator), "tech")
        assert again.counted.channels_excluded == {"under 100 subscribers": 1}
    with Emulator(tech) as emulator:
        chosen = at(lab, emulator, crawl_days=400)
        if how == "named":
            assert add_channels(chosen, "tech", [late]).new == 0
        else:
            emulator.advance(timedelta(days=31))
        crawled = crawl(chosen, "tech")
    assert crawled.counted.channels_excluded == {}
    with lab.engine.connect() as connection:
        assert late in set(connection.scalars(select(videos.c.channel_id)))


def test_removed_and_private_videos_and_closed_channels_are_left_out(lab: Lab, tech: SyntheticCatalogue) -> None:
    tech_videos = [v for v in tech.videos.values() if v.niche == "tech"]
    closed = tech_videos[-1].channel_id
    with Emulator(tech) as emulator:
        chosen = at(lab, emulator, crawl_channels=6)
        crawl(dataclasses.replace(chosen, settings=chosen.settings.model_copy(update={"quota_units": 0})), "tech")
        hidden = [v.video_id for v in tech_videos if v.channel_id != closed][:2]
        emulator.make_private(hidden[0])  # YouTube lists a private video without a date, so the crawl leaves it out.
        emulator.remove(hidden[1])
        emulator.close_channel(closed)
        crawled = crawl(chosen, "tech")
    assert set(hidden) & stored(lab) == set()
    assert crawled.counted.channels_excluded == {"closed or private": 1}
    assert stored(lab) == {v.video_id for v in tech_videos if v.channel_id != closed} - set(hidden)


def test_a_video_that_vanishes_after_it_was_listed_is_counted_as_gone(
    lab: Lab, tech: SyntheticCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim = next(v.video_id for v in tech.videos.values() if v.niche == "tech")
    fetch = YouTube.videos
    monkeypatch.setattr(YouTube, "videos", lambda y, ids, n: [r for r in fetch(y, ids, n) if r.video_id != victim])
    with Emulator(tech) as emulator:
        crawl(at(lab, emulator), "tech")
    assert outcomes(lab)[victim] == GONE
    assert victim not in stored(lab)


def test_a_video_of_another_channel_is_left_out(
    lab: Lab, tech: SyntheticCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim = next(v.video_id for v in tech.videos.values() if v.niche == "tech")
    fetch = YouTube.videos
    elsewhere = "UC" + "x" * 22
    monkeypatch.setattr(
        YouTube,
        "videos",
        lambda y, ids, n: [
            dataclasses.replace(r, channel_id=elsewhere) if r.video_id == victim else r for r in fetch(y, ids, n)
        ],
    )
    with Emulator(tech) as emulator:
        crawled = crawl(at(lab, emulator), "tech")
    assert crawled.counted.videos_waiting == 0
    assert outcomes(lab)[victim] == "of another channel"
