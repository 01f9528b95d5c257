"""Test what is collected for a niche that a person added: its searches, its channels and its excluded words."""

import dataclasses
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, select

from demo.catalogues.synthetic import SyntheticCatalogue
from demo.emulator import Emulator
from thumblab_core.database.tables import channels, videos
from thumblab_core.errors import LabError
from thumblab_core.niches import Niche
from thumblab_core.niches.cost import daily_cost, kept_quota
from thumblab_core.niches.store import add_niche, edit_niche, retire_niche
from thumblab_pipelines.channels.collect import collect_channel
from thumblab_pipelines.collection import crawl_searches
from thumblab_pipelines.collection.crawl import crawl
from thumblab_pipelines.collection.refresh import Collected, collect
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.youtube.client import SearchQuery, YouTube

PHONES = Niche("phones", 28, "AU", "en-GB", ("Foldable Phones", "Mesh Routers"))


@pytest.fixture
def emulator(catalogue: SyntheticCatalogue) -> Iterator[Emulator]:
    with Emulator(catalogue) as running:
        yield running


@pytest.fixture
def lab(open_lab: Callable[..., Lab], emulator: Emulator) -> Lab:
    return open_lab(
        youtube_endpoint=emulator.endpoint,
        youtube_api_key="AIzaSecretOfTheTests",
        youtube_first_wait_s=0.01,
        search_days=36_500,
        library_days=36_500,
    )


def added(lab: Lab, **changes: Any) -> Niche:
    return add_niche(lab.engine, lab.settings.data_dir, dataclasses.replace(PHONES, **changes))


def titles(lab: Lab, niche: str = "phones") -> dict[str, str]:
    with lab.engine.connect() as connection:
        rows = connection.execute(select(videos.c.video_id, videos.c.title).where(videos.c.niche == niche))
        return {row.video_id: row.title for row in rows}


def without_walks(lab: Lab) -> Lab:
    """Return a copy of the lab. A refresh of this copy lists only uploads of the channels that a person gave to the
    niche.
    """
    return dataclasses.replace(lab, settings=lab.settings.model_copy(update={"channels_per_refresh": 0}))


def test_each_search_of_a_niche_costs_one_search_and_gives_its_videos(
    lab: Lab, emulator: Emulator, catalogue: SyntheticCatalogue
) -> None:
    niche = added(lab)
    collected = collect(without_walks(lab), "phones")
    expected = {
        video.video_id
        for video in catalogue.videos.values()
        if video.niche == "tech" and any(text.casefold() in video.title.casefold() for text in niche.searches)
    }
    assert set(titles(lab)) == expected != set()
    assert collected.trending_from == "searches"
    assert emulator.counts.spent["searches"] == 2 == daily_cost(niche, lab.settings).searches
    assert emulator.counts.spent["units"] <= daily_cost(niche, lab.settings).first_units


def test_the_region_and_the_language_of_a_niche_reach_youtube(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[SearchQuery] = []
    search = YouTube.search

    def noted(self: YouTube, what: SearchQuery, *more: Any, **named: Any) -> Any:
        asked.append(what)
        return search(self, what, *more, **named)

    monkeypatch.setattr(YouTube, "search", noted)
    added(lab, searches=("Foldable Phones",))
    collect(lab, "phones")
    collect(lab, "tech")
    assert asked[0] == SearchQuery("AU", 28, "Foldable Phones", "en-GB")
    assert asked[1] == SearchQuery("US", 28, None, "en")


def test_the_uploads_of_the_given_channels_are_collected_each_time(
    lab: Lab, emulator: Emulator, catalogue: SyntheticCatalogue
) -> None:
    channel = next(channel for channel in catalogue.channels.values() if channel.niche == "beauty")
    with YouTube.connect(lab.settings, lab.engine) as youtube:
        (record,) = youtube.channels([channel.channel_id])
    assert record.handle is not None
    added(lab, category_id=None, searches=(), channels=(record.handle, "UC" + "x" * 22, "@nobody-has-this"))
    collected: Collected = collect(without_walks(lab), "phones")
    assert set(titles(lab)) == {video.video_id for video in channel.videos}
    assert collected.channels_walked == 1
    assert sorted(collected.remarks) == [
        "YouTube has no channel @nobody-has-this, or does not show its uploads",
        f"YouTube has no channel UC{'x' * 22}, or does not show its uploads",
    ]
    assert emulator.counts.spent["searches"] == 0
    emulator.advance(timedelta(days=1))
    assert collect(without_walks(lab), "phones").new_observations == len(channel.videos)
    with lab.engine.connect() as connection:
        assert connection.scalar(select(channels.c.walked_at)) is not None


def test_a_title_with_an_excluded_word_is_left_out_by_the_refresh_and_by_the_crawl(lab: Lab) -> None:
    niche = added(lab)
    collect(without_walks(lab), "phones")
    word = next(iter(titles(lab).values())).split()[0]
    edit_niche(lab.engine, dataclasses.replace(niche, exclude=(word.lower(),)))
    with lab.engine.begin() as connection:
        connection.execute(videos.delete())
    collect(lab, "phones")
    refreshed = titles(lab)
    with lab.engine.begin() as connection:
        connection.execute(videos.delete())
    crawl(lab, "phones")
    for saved in (refreshed, titles(lab)):
        assert saved
        assert not [title for title in saved.values() if niche_excludes(word, title)]


def test_the_trending_chart_of_a_category_leaves_excluded_videos_out(lab: Lab) -> None:
    chart = add_niche(lab.engine, lab.settings.data_dir, Niche("chart", 20))
    of_chart = select(videos.c.title).where(videos.c.niche == "chart")
    assert collect(without_walks(lab), "chart").trending_from == "chart"
    with lab.engine.begin() as connection:
        before = list(connection.scalars(of_chart))
        connection.execute(videos.delete())
    word = before[0].split()[0]
    edit_niche(lab.engine, dataclasses.replace(chart, exclude=(word,)))
    assert collect(without_walks(lab), "chart").trending_from == "chart"
    with lab.engine.connect() as connection:
        after = list(connection.scalars(of_chart))
    assert any(niche_excludes(word, title) for title in before)
    assert after
    assert not [title for title in after if niche_excludes(word, title)]


def niche_excludes(word: str, title: str) -> bool:
    return word.casefold() in title.casefold().split()


def test_the_crawl_of_a_niche_searches_for_its_texts(lab: Lab, catalogue: SyntheticCatalogue) -> None:
    added(lab)
    crawled = crawl(lab, "phones")
    found = {
        video.channel_id
        for video in catalogue.videos.values()
        if video.niche == "tech" and any(text.casefold() in video.title.casefold() for text in PHONES.searches)
    }
    assert 0 < crawled.counted.channels <= len(found)


def test_a_niche_of_channels_alone_is_crawled_without_a_search(lab: Lab, emulator: Emulator) -> None:
    added(lab, category_id=None, searches=(), channels=("UC" + "x" * 22,))
    assert crawl(lab, "phones").counted.channels == 0
    assert emulator.counts.spent["searches"] == 0


def test_the_crawl_leaves_the_searches_and_units_of_each_added_niche(lab: Lab, emulator: Emulator) -> None:
    def kept() -> tuple[int, int]:
        with lab.engine.connect() as connection:
            quota = kept_quota(connection, lab.settings)
        return quota.searches, quota.units

    assert kept() == (20, 200)
    phones = added(lab)
    cost = daily_cost(phones, lab.settings)
    assert kept() == (20 + 2, 200 + cost.units)
    channels = tuple(f"UC{number:022}" for number in range(10))
    watched = daily_cost(
        add_niche(lab.engine, lab.settings.data_dir, Niche("watched", channels=channels)), lab.settings
    )
    assert kept() == (22, 200 + cost.units + watched.units), "given channels cost units and no searches"
    drama = daily_cost(add_niche(lab.engine, lab.settings.data_dir, Niche("drama", 24)), lab.settings)
    assert drama.searches > 0
    assert kept() == (22 + drama.searches, 200 + cost.units + watched.units + drama.units)
    # The lab keeps all searches of the day for the refresh, so the crawl cannot make any search.
    few = dataclasses.replace(lab, settings=lab.settings.model_copy(update={"quota_searches": kept()[0]}))
    assert crawl(few, "phones").stopped is not None
    assert emulator.counts.spent["searches"] == 0


def test_weeks_that_were_searched_before_are_searched_again_after_a_change_of_the_texts(lab: Lab) -> None:
    now = datetime(2026, 9, 15, tzinfo=UTC)
    phones = added(lab)
    with lab.engine.begin() as connection:
        crawl_searches.plan_searches(connection, phones, now, 1)
        crawl_searches.end_searches(connection, phones, now)
        crawl_searches.plan_searches(connection, phones, now, 1)
        assert crawl_searches.take_search(connection, phones) is None
    changed = edit_niche(lab.engine, dataclasses.replace(phones, searches=("tablet",)))
    with lab.engine.begin() as connection:
        crawl_searches.plan_searches(connection, changed, now, 1)
        search = crawl_searches.take_search(connection, changed)
        assert search is not None
        assert "tablet" in search.query
        crawl_searches.save_search(connection, "phones", search, [], None, now)
        crawl_searches.end_searches(connection, changed, now)
        assert crawl_searches.take_search(connection, changed) is None


@pytest.mark.parametrize("run", [collect, crawl])
def test_a_run_that_waited_while_its_niche_was_retired_collects_nothing(
    lab: Lab, emulator: Emulator, run: Callable[[Lab, str], Any]
) -> None:
    added(lab)
    retire_niche(lab.engine, lab.settings.data_dir, "phones")
    with pytest.raises(LabError, match="phones is retired, so it is not collected; `thumblab niche restore phones`"):
        run(lab, "phones")
    assert titles(lab) == {}
    assert emulator.counts.calls == {}


def test_new_uploads_of_a_channel_go_into_the_given_niche_if_its_own_niche_is_retired(
    lab: Lab, catalogue: SyntheticCatalogue
) -> None:
    channel = next(video.channel_id for video in catalogue.videos.values() if video.niche == "tech")
    collect_channel(lab, channel, "tech")
    old, new = sorted(titles(lab, "tech"))[1:], sorted(titles(lab, "tech"))[0]
    with lab.engine.begin() as connection:
        connection.execute(delete(videos).where(videos.c.video_id == new))
    retire_niche(lab.engine, lab.settings.data_dir, "tech")
    with pytest.raises(
        LabError, match=r"no niche of the lab has a video of .*; give the niche for its videos with --niche"
    ):
        collect_channel(lab, channel)
    collect_channel(lab, channel, "gaming")
    assert (sorted(titles(lab, "gaming")), sorted(titles(lab, "tech"))) == ([new], old)
