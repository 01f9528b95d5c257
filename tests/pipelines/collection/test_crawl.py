"""Promises of the crawl, kept against the emulator: what it takes, what it costs, and that it can be stopped anywhere."""

import dataclasses
import multiprocessing
import os
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import crawling
import pytest
from catalogues import Edited
from sqlalchemy import create_engine, func, select, text

from demo import faults
from demo.catalogues.source import CatalogueVideo
from demo.catalogues.synthetic import SyntheticCatalogue, synthetic_catalogue
from demo.catalogues.vast import vast_catalogue
from demo.emulator import Emulator
from thumblab_core.database.tables import channels, crawl_channels, crawl_searches, crawl_videos, video_stats, videos
from thumblab_core.errors import LabError
from thumblab_core.niches import NICHES
from thumblab_core.settings import Settings
from thumblab_pipelines.collection.crawl import check_crawl, crawl
from thumblab_pipelines.collection.crawl_names import add_channels
from thumblab_pipelines.collection.crawl_plan import plan_crawl
from thumblab_pipelines.collection.crawl_rules import GONE, KEPT, OUTLIER
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.youtube.client import YouTube
from thumblab_pipelines.youtube.errors import YouTubeError
from thumblab_pipelines.youtube.quota import Ledger

SECRET = "AIzaSecretOfTheTests"


@pytest.fixture
def lab(open_lab: Callable[..., Lab]) -> Lab:
    return open_lab()


@pytest.fixture(scope="module")
def tech() -> SyntheticCatalogue:
    return synthetic_catalogue(videos=700)


def at(lab: Lab, emulator: Emulator, **changes: Any) -> Lab:
    """The lab, with its settings aimed at the emulator."""
    chosen = {"youtube_endpoint": emulator.endpoint, "youtube_api_key": SECRET, "youtube_first_wait_s": 0.01}
    settings = Settings(**(lab.settings.model_dump(exclude_unset=True) | chosen | changes))
    return dataclasses.replace(lab, settings=settings)


def outcomes(lab: Lab) -> dict[str, str | None]:
    with lab.engine.connect() as connection:
        return dict(connection.execute(select(crawl_videos.c.video_id, crawl_videos.c.outcome)).all())


def stored(lab: Lab) -> set[str]:
    with lab.engine.connect() as connection:
        return set(connection.scalars(select(videos.c.video_id)))


def least_units(catalogue: Any, niche: str) -> int:
    """Units that nobody can do without: fifty channels, fifty uploads of a channel, fifty videos a call."""
    sizes = [len(channel.videos) for channel in catalogue.channels.values() if channel.niche == niche]
    return -(-len(sizes) // 50) + sum(-(-size // 50) for size in sizes) + -(-sum(sizes) // 50)


def test_it_finds_every_video_of_every_channel_at_the_least_cost(lab: Lab, tech: SyntheticCatalogue) -> None:
    with Emulator(tech) as emulator:
        found = crawl(at(lab, emulator), "tech")
        spent = emulator.counts.spent
    expected = {video.video_id for video in tech.videos.values() if video.niche == "tech"}
    assert found.stopped is None
    assert stored(lab) == expected == set(outcomes(lab))
    assert found.counted.kept + found.counted.videos.get(OUTLIER, 0) == len(expected)
    assert spent["units"] == least_units(tech, "tech") == found.quota.spent["units"]
    assert spent["searches"] == found.quota.spent["searches"]
    assert all(verdict.passed for verdict in check_crawl(found))


def test_a_second_crawl_costs_nothing_and_after_a_week_only_what_is_new(lab: Lab, tech: SyntheticCatalogue) -> None:
    with Emulator(tech) as emulator:
        crawl(at(lab, emulator), "tech")
        again = crawl(at(lab, emulator), "tech")
    assert again.quota.spent == {"units": 0, "searches": 0, "stats": 0}
    assert again.videos_looked_at == 0
    newer = next(v for v in tech.videos.values() if v.niche == "tech")
    later = tech.observed_at + timedelta(days=8)
    fresh = dataclasses.replace(newer, video_id="newuploaded", published_at=later - timedelta(hours=30))
    grown = _Grown(tech, [fresh], later)
    with Emulator(grown) as emulator:
        found = crawl(at(lab, emulator, crawl_channels=1), "tech")
    walked = sum(channel.niche == "tech" for channel in tech.channels.values())
    assert found.videos_looked_at == 1
    assert found.quota.spent["units"] == walked + 1
    assert outcomes(lab)["newuploaded"] == KEPT


class _Grown(Edited):
    """The same with more videos; pictures are nobody's business here."""

    def __init__(self, source: Any, more: list[CatalogueVideo], at: Any) -> None:
        super(Edited, self).__init__([*source.videos.values(), *more], at)
        self._source = source

    def image_size(self, video_id: str) -> tuple[int, int]:
        return (320, 180)


def test_each_rule_of_the_training_guide_takes_what_it_is_for_and_is_counted(
    lab: Lab, tech: SyntheticCatalogue
) -> None:
    mine = [v for v in tech.videos.values() if v.niche == "tech"]
    of_channel = Counter(v.channel_id for v in mine)
    small, quiet = sorted(of_channel)[:2]
    others = [v for v in mine if v.channel_id not in (small, quiet)]
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
        if video.channel_id == quiet:  # nine in the last 90 days at most
            facts["published_at"] = tech.observed_at - timedelta(days=100 + len(video.title))
        if video.channel_id == small:
            facts["views"] = 3
        return dataclasses.replace(video, **facts)

    with Emulator(Edited(tech, change)) as emulator:
        chosen = at(lab, emulator, crawl_days=400)
        assert add_channels(chosen, "tech", [quiet]).new == 1  # no search of what is popular now would find it
        found = crawl(chosen, "tech")
    assert {name: outcomes(lab)[name] for name in changes} == {name: c["why"] for name, c in changes.items()}
    assert found.counted.channels_excluded == {
        "under 100 subscribers": 1,
        "fewer than 10 videos in 90 days": 1,
    }
    counted = Counter(outcomes(lab).values())
    assert found.counted.videos == dict(counted)
    # What is left out is not stored; an outlier is, for the library wants the very ones that did well.
    assert stored(lab) == {name for name, outcome in outcomes(lab).items() if outcome in (KEPT, OUTLIER)}
    with lab.engine.connect() as connection:
        assert not set(connection.scalars(select(videos.c.channel_id).distinct())) & {small, quiet}


def test_an_inactive_channel_costs_one_page_and_none_of_its_videos_is_looked_at(
    lab: Lab, tech: SyntheticCatalogue
) -> None:
    old = Edited(tech, lambda v: dataclasses.replace(v, published_at=v.published_at - timedelta(days=85)))
    with Emulator(old) as emulator, lab.engine.begin() as connection:
        for channel in old.channels.values():
            if channel.niche == "tech":
                connection.execute(channels.insert().values(channel_id=channel.channel_id, title=channel.title))
                row = {"channel_id": channel.channel_id, "niche": "tech", "found_at": emulator.now}
                connection.execute(crawl_channels.insert().values(**row))
        connection.commit()
        found = crawl(at(lab, emulator, crawl_channels=1), "tech")
        walked = emulator.counts.calls["playlistItems"]
    assert walked == sum(channel.niche == "tech" for channel in old.channels.values())
    assert (found.videos_looked_at, outcomes(lab)) == (0, {})
    assert set(found.counted.channels_excluded) == {"fewer than 10 videos in 90 days"}


@pytest.mark.parametrize("how", ["named", "a month later"])
def test_a_channel_that_was_left_out_gets_another_chance(lab: Lab, tech: SyntheticCatalogue, how: str) -> None:
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
        found = crawl(chosen, "tech")
    assert found.counted.channels_excluded == {}
    with lab.engine.connect() as connection:
        assert late in set(connection.scalars(select(videos.c.channel_id)))


def test_removed_and_private_videos_and_closed_channels_are_counted_as_such(lab: Lab, tech: SyntheticCatalogue) -> None:
    mine = [v for v in tech.videos.values() if v.niche == "tech"]
    closed = mine[-1].channel_id
    with Emulator(tech) as emulator:
        chosen = at(lab, emulator, crawl_channels=6)
        crawl(dataclasses.replace(chosen, settings=chosen.settings.model_copy(update={"quota_units": 0})), "tech")
        hidden = [v.video_id for v in mine if v.channel_id != closed][:2]
        emulator.make_private(hidden[0])  # listed without a date, and so not even put on the list
        emulator.remove(hidden[1])
        emulator.close_channel(closed)
        found = crawl(chosen, "tech")
    assert set(hidden) & stored(lab) == set()
    assert found.counted.channels_excluded == {"closed or private": 1}
    assert stored(lab) == {v.video_id for v in mine if v.channel_id != closed} - set(hidden)


def test_a_video_that_vanishes_between_being_listed_and_looked_at_is_counted(
    lab: Lab, tech: SyntheticCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim = next(v.video_id for v in tech.videos.values() if v.niche == "tech")
    look = YouTube.videos
    monkeypatch.setattr(YouTube, "videos", lambda y, ids, n: [r for r in look(y, ids, n) if r.video_id != victim])
    with Emulator(tech) as emulator:
        crawl(at(lab, emulator), "tech")
    assert outcomes(lab)[victim] == GONE
    assert victim not in stored(lab)


@pytest.mark.parametrize("style", ["403", "429"])
def test_a_crawl_of_several_days_stops_with_the_quota_and_ends_with_the_very_same_set(
    lab: Lab, open_lab: Callable[..., Lab], tech: SyntheticCatalogue, style: Any
) -> None:
    with Emulator(tech) as emulator:
        crawl(at(lab, emulator), "tech")
        whole, at_once = outcomes(lab), emulator.counts.spent["units"]
    other = open_lab()
    days = []
    with Emulator(tech, daily_units=3, quota_style=style) as emulator:
        while len(days) < 20:
            found = crawl(at(other, emulator), "tech")
            days.append(found)
            assert all(verdict.passed for verdict in check_crawl(found))
            if found.stopped is None:
                break
            assert "spent" in found.stopped
            assert "08:00 UTC" in found.stopped
            emulator.advance(timedelta(days=1))
    assert 2 < len(days) < 8
    assert days[-1].stopped is None
    # The clock of the several days cuts off what has grown too old meanwhile, and nothing else.
    assert {name: whole[name] for name in outcomes(other)} == outcomes(other)
    assert len(outcomes(other)) > 0.9 * len(whole)
    assert emulator.counts.spent["units"] <= at_once + 2


def test_it_leaves_the_refresh_its_share_of_the_quota(lab: Lab, tech: SyntheticCatalogue) -> None:
    with Emulator(tech) as emulator:
        limits = {"quota_units": 12, "quota_kept_units": 9, "quota_searches": 5, "quota_kept_searches": 3}
        found = crawl(at(lab, emulator, **limits), "tech")
    assert emulator.counts.spent == {"units": 3, "searches": 1, "stats": 0}
    assert found.stopped is not None
    assert "9 are kept for the daily refresh" in found.stopped


def test_a_page_token_that_is_no_longer_good_begins_the_channel_anew(lab: Lab) -> None:
    with Emulator(vast_catalogue(channels=7, videos=1_400)) as emulator:
        chosen = at(lab, emulator, crawl_channels=1, crawl_threads=1)
        emulator.inject(faults.refusal(400, "invalidPageToken"), endpoint="playlistItems", times=1, after=1)
        found = crawl(chosen, "tech")
        pages = emulator.counts.calls["playlistItems"]
    listed = len(outcomes(lab))
    assert found.stopped is None
    assert found.counted.channels_excluded == {}
    assert listed > 100
    assert pages == -(-listed // 50) + 2  # the refused call, and the first page once more


def test_a_page_that_is_refused_for_good_ends_the_walk_and_not_the_quota(lab: Lab) -> None:
    with Emulator(vast_catalogue(channels=7, videos=1_400)) as emulator:
        chosen = at(lab, emulator, crawl_channels=1, crawl_threads=1)
        # The first page is given, every other refused; so is the first one of each walk that begins anew, by and by.
        emulator.inject(faults.refusal(400, "invalidPageToken"), endpoint="playlistItems", times=None, after=1)
        found = crawl(chosen, "tech")
        assert emulator.counts.calls["playlistItems"] < 10
    assert found.counted.channels_to_walk == 0


def test_a_video_of_another_channel_is_left_out_and_does_not_stop_the_crawl(
    lab: Lab, tech: SyntheticCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim = next(v.video_id for v in tech.videos.values() if v.niche == "tech")
    look = YouTube.videos
    elsewhere = "UC" + "x" * 22
    monkeypatch.setattr(
        YouTube,
        "videos",
        lambda y, ids, n: [
            dataclasses.replace(r, channel_id=elsewhere) if r.video_id == victim else r for r in look(y, ids, n)
        ],
    )
    with Emulator(tech) as emulator:
        found = crawl(at(lab, emulator), "tech")
    assert found.counted.videos_waiting == 0
    assert outcomes(lab)[victim] == "of another channel"


def test_a_proxys_page_in_mid_run_excludes_no_channel(lab: Lab, tech: SyntheticCatalogue) -> None:
    with Emulator(tech) as emulator:
        emulator.inject(faults.html_error(403), endpoint="playlistItems", times=None, after=1)
        with pytest.raises(YouTubeError):
            crawl(at(lab, emulator), "tech")
        emulator.heal()
        found = crawl(at(lab, emulator), "tech")
    assert found.counted.channels_excluded == {}
    assert stored(lab) == {v.video_id for v in tech.videos.values() if v.niche == "tech"}


def test_a_server_in_trouble_fails_the_run_and_the_next_one_goes_on(lab: Lab, tech: SyntheticCatalogue) -> None:
    with Emulator(tech) as emulator:
        emulator.inject(faults.refusal(503, "backendError"), endpoint="videos", times=None, after=1)
        with pytest.raises(YouTubeError, match="trouble of its own"):
            crawl(at(lab, emulator), "tech")
        assert 0 < len(stored(lab)) < sum(v.niche == "tech" for v in tech.videos.values())
        emulator.heal()
        crawl(at(lab, emulator), "tech")
    assert stored(lab) == {v.video_id for v in tech.videos.values() if v.niche == "tech"}


def test_searches_are_made_week_by_week_and_not_again(lab: Lab, tech: SyntheticCatalogue) -> None:
    with Emulator(tech) as emulator:
        first = crawl(at(lab, emulator), "tech")
        emulator.advance(timedelta(days=1))
        second = crawl(at(lab, emulator), "tech")
    assert first.counted.channels == 5  # of 215: all there are, which four searches in a row confirm
    assert 5 <= first.quota.spent["searches"] <= 8
    assert second.quota.spent["searches"] == 0
    with lab.engine.connect() as connection:
        weeks = connection.execute(select(crawl_searches.c.published_after, crawl_searches.c.published_before)).all()
    assert all(b - a == timedelta(days=7) for a, b in weeks)


def test_every_niche_has_its_share_of_the_days_searches(lab: Lab) -> None:
    with Emulator(vast_catalogue(channels=700, videos=30_000)) as emulator:
        chosen = at(lab, emulator, crawl_channels=100, crawl_days=7, quota_units=1)
        found = [crawl(chosen, niche) for niche in NICHES]
    assert all(1 < one.quota.spent["searches"] <= 11 for one in found)
    assert all(one.counted.channels > 30 for one in found)


def test_channels_can_be_named_by_id_url_and_handle(lab: Lab, tech: SyntheticCatalogue) -> None:
    first, second, third = [channel for channel in tech.channels.values() if channel.niche == "tech"][:3]
    with Emulator(tech) as emulator:
        chosen = at(lab, emulator)
        url = f"https://www.youtube.com/channel/{second.channel_id}/videos"
        names = [first.channel_id, url, f"@{third.handle}", "@nobody.at.all", first.channel_id]
        added = add_channels(chosen, "tech", names)
        assert (added.new, added.unknown) == (3, ["@nobody.at.all"])
        assert emulator.counts.spent["units"] == 2
        assert add_channels(chosen, "tech", names[:1]).new == 0
        with pytest.raises(LabError, match="'nonsense' is no channel"):
            add_channels(chosen, "tech", [first.channel_id, "nonsense"])


def test_the_plan_is_the_cost_and_spends_nothing(lab: Lab, tech: SyntheticCatalogue) -> None:
    sizes = [len(channel.videos) for channel in tech.channels.values() if channel.niche == "tech"]
    with Emulator(tech) as emulator:
        chosen = at(lab, emulator)
        planned = plan_crawl(chosen, ["tech"], channels=len(sizes), per_channel=sum(sizes) / len(sizes))
        assert emulator.counts.calls == {}
        found = crawl(chosen, "tech")
        after = plan_crawl(chosen, ["tech"], channels=len(sizes))
    assert planned.units == pytest.approx(found.quota.spent["units"], rel=0.35)
    assert planned.niches[0].channels_to_find == len(sizes)
    assert (after.units, after.searches) == (0, 0)


def test_the_plan_of_the_training_guide_is_one_day_of_quota_against_forty(lab: Lab) -> None:
    planned = plan_crawl(lab, NICHES, channels=215)
    assert 9_000 < planned.units < 9_800
    assert planned.days <= 2
    assert planned.naive_days >= 40
    assert sum(row.videos_expected for row in planned.niches) == pytest.approx(200_000, rel=0.01)


PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(crawling.IMPORTS)


class Crawling:
    """The crawl of every niche in a process of its own: what the asset does, where it can be killed.

    The process is the child of one that has imported what a crawl needs, and has done nothing else: eleven would take longer
    to import it than to crawl.
    """

    def __init__(self, lab: Lab, emulator: Emulator, channels: int, told: Path) -> None:
        assert lab.settings.database_url is not None
        environment = {
            "THUMBLAB_DATA_DIR": str(lab.settings.data_dir),
            "THUMBLAB_DATABASE_URL": lab.settings.database_url.get_secret_value(),
            "THUMBLAB_YOUTUBE_ENDPOINT": emulator.endpoint,
            "THUMBLAB_YOUTUBE_API_KEY": SECRET,
            "THUMBLAB_CRAWL_CHANNELS": str(channels),
        }
        with tempfile.NamedTemporaryFile(dir=told, delete=False) as file:
            self._complaints = Path(file.name)
        self._process = PROCESSES.Process(
            target=crawling.crawl_all, args=(environment, str(self._complaints), list(NICHES))
        )
        self._process.start()

    @property
    def running(self) -> bool:
        return self._process.is_alive()

    def send(self, number: signal.Signals) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def ended(self, seconds: float = 120) -> int:
        """Wait for its end; the exit status."""
        self._process.join(seconds)
        assert self._process.exitcode is not None, f"it runs on: {self.complaints}"
        return self._process.exitcode

    @property
    def complaints(self) -> str:
        return self._complaints.read_text()


def test_killed_ten_times_it_ends_with_the_same_set_and_hardly_a_unit_more(
    lab: Lab, open_lab: Callable[..., Lab], tmp_path: Path
) -> None:
    vast = vast_catalogue(channels=70, videos=12_000)
    with Emulator(vast, key=SECRET) as emulator:
        process = Crawling(lab, emulator, 10, tmp_path)
        assert process.ended() == 0, process.complaints
        expected, undisturbed = outcomes(lab), emulator.counts.spent["units"]
    other = open_lab()
    luck = random.Random(11)
    with Emulator(vast, key=SECRET) as emulator:
        for kill in range(10):
            process = Crawling(other, emulator, 10, tmp_path)
            # A tenth of the work each, give or take.
            enough = undisturbed * (kill + luck.random()) / 10.5
            while emulator.counts.spent["units"] < enough and process.running:
                time.sleep(0.005)
            process.send(signal.SIGKILL)
            assert process.ended() == -signal.SIGKILL, "it came to its end before it could be killed"
        process = Crawling(other, emulator, 10, tmp_path)
        assert process.ended() == 0, process.complaints
        units = emulator.counts.spent["units"]
        counted = Ledger.of(other.engine, other.settings).balances(emulator.now)[0].spent
    assert outcomes(other) == expected
    # Eight calls may be under way at a kill; at 2 % of 200,000 videos' units that is next to nothing.
    assert undisturbed <= units <= undisturbed + 10 * 8
    assert units <= counted <= units + 10 * 8
    with other.engine.connect() as connection:
        rows = connection.execute(select(func.count(), func.count(video_stats.c.video_id.distinct()))).one()
    assert rows[0] == rows[1] == len(stored(other))


def test_an_interrupted_crawl_ends_after_the_calls_under_way(lab: Lab, tmp_path: Path) -> None:
    with Emulator(vast_catalogue(channels=70, videos=40_000), key=SECRET) as emulator:
        process = Crawling(lab, emulator, 10, tmp_path)
        while emulator.counts.spent["units"] < 60:
            assert process.running, process.complaints
            time.sleep(0.01)
        process.send(signal.SIGINT)
        assert process.ended(15) != 0
    assert "KeyboardInterrupt" in process.complaints
    assert any(outcome is not None for outcome in outcomes(lab).values())


def test_two_processes_share_one_niche_and_do_nothing_twice(lab: Lab, tmp_path: Path) -> None:
    vast = vast_catalogue(channels=35, videos=6_000)
    with Emulator(vast, key=SECRET) as emulator:
        both = [Crawling(lab, emulator, 5, tmp_path) for _ in range(2)]
        for process in both:
            assert process.ended() == 0, process.complaints
        units = emulator.counts.spent["units"]
    looked_at = len(outcomes(lab))
    engine = create_engine(lab.engine.url)
    with engine.connect() as connection:
        waiting = connection.execute(text("SELECT count(*) FROM crawl_videos WHERE outcome IS NULL")).scalar_one()
    engine.dispose()
    assert waiting == 0
    assert looked_at > 4_000
    # Each niche may end with a call that is not full, in either process, and both may ask for the channels.
    assert units <= looked_at / 50 + 35 * (6_000 / 35 / 50 + 1) + 4 * len(NICHES)
