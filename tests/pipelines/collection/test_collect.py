"""Tests of collecting the videos of a niche from the emulator, with Google's own library for calls to YouTube."""

import dataclasses
import logging
from datetime import timedelta
from typing import Any

import pytest
from catalogues import Edited
from lab_setup import SECRET, at
from sqlalchemy import func, select, text

from demo.catalogues.synthetic import SyntheticCatalogue
from demo.catalogues.vast import vast_catalogue
from demo.emulator import Emulator
from thumblab_core.database.tables import channels, video_stats, videos
from thumblab_core.errors import LabError
from thumblab_core.niches import DEFAULT_NAMES
from thumblab_core.settings import Settings
from thumblab_pipelines.collection import collecting, refresh
from thumblab_pipelines.collection.refresh import check_collection, collect
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.youtube.client import YouTube
from thumblab_pipelines.youtube.errors import ErrorKind, YouTubeError
from thumblab_pipelines.youtube.quota import Ledger


def test_every_video_is_found_with_its_facts(small: Any, catalogue: SyntheticCatalogue) -> None:
    with small.lab.engine.connect() as connection:
        rows = connection.execute(
            select(videos, video_stats.c.view_count, video_stats.c.observed_at).join(video_stats)
        ).all()
        titles = dict(connection.execute(select(channels.c.channel_id, channels.c.title)).tuples().all())
    assert {row.video_id for row in rows} == set(catalogue.videos)
    for row in rows:
        true = catalogue.videos[row.video_id]
        assert (row.niche, row.title, row.channel_id, row.duration_s) == (
            true.niche,
            true.title,
            true.channel_id,
            true.duration_s,
        )
        assert (row.published_at, row.view_count, tuple(row.tags)) == (true.published_at, true.views, true.tags)
        assert titles[row.channel_id] == true.channel_title
        assert row.source == "youtube"


def test_observations_are_dated_by_the_servers_clock(small: Any, catalogue: SyntheticCatalogue) -> None:
    with small.lab.engine.connect() as connection:
        assert connection.execute(select(video_stats.c.observed_at).distinct()).scalars().all() == [
            catalogue.observed_at
        ]


def test_gaming_comes_from_its_chart_and_the_other_niches_from_search(small: Any) -> None:
    origin = {niche: collected.trending_from for niche, collected in small.collected.items()}
    assert origin == {niche: "chart" if niche == "gaming" else "search" for niche in DEFAULT_NAMES}
    assert all(check.passed for niche in DEFAULT_NAMES for check in check_collection(small.lab, niche))


def test_a_refresh_needs_few_calls_and_the_ledger_agrees_with_youtube(small: Any) -> None:
    for niche, collected in small.collected.items():
        assert collected.seen == sum(v.niche == niche for v in small.catalogue.videos.values())
        assert collected.quota.spent["units"] <= 4
        assert collected.stopped is None
    ledger = Ledger.of(small.lab.engine, small.lab.settings).balances(small.emulator.now)
    assert {balance.bucket: balance.spent for balance in ledger} == small.spent


def test_a_day_of_all_niches_costs_at_most_60_units_and_15_searches(
    lab: Lab,
) -> None:
    """Refresh every niche once, with a catalogue that has many more channels and videos than a refresh can read.

    The lab has no channels at first.
    """
    with Emulator(vast_catalogue(channels=210, videos=20_000)) as emulator:
        chosen = at(lab, emulator)
        for _ in range(2):
            before = emulator.counts.spent
            collected = [collect(chosen, niche) for niche in DEFAULT_NAMES]
            spent = {bucket: count - before[bucket] for bucket, count in emulator.counts.spent.items()}
            assert all(niche.stopped is None and niche.formats["video"] >= 30 for niche in collected)
            assert 0 < spent["units"] <= 60
            assert 0 < spent["searches"] <= 15
            balances = Ledger.of(lab.engine, chosen.settings).balances(emulator.now)
            assert {balance.bucket: balance.spent for balance in balances} == emulator.counts.spent_today
            emulator.advance(timedelta(days=1))


def test_thirty_videos_are_kept_and_shorts_and_streams_are_not_counted(lab: Lab) -> None:
    with Emulator(vast_catalogue(channels=70, videos=7_000)) as emulator:
        chosen = at(lab, emulator, channels_per_refresh=0)
        collected = {niche: collect(chosen, niche) for niche in DEFAULT_NAMES}
    with lab.engine.connect() as connection:
        rows = connection.execute(select(videos.c.niche, videos.c.format, func.count()).group_by("niche", "format"))
        stored = {(niche, kind): count for niche, kind, count in rows}
    assert all(stored[niche, "video"] == 30 for niche in DEFAULT_NAMES)
    assert stored == {(niche, kind): n for niche, counts in collected.items() for kind, n in counts.formats.items()}
    assert {kind for _, kind in stored} > {"video", "short"}


def test_a_category_without_a_chart_is_asked_again_after_a_month(lab: Lab, catalogue: SyntheticCatalogue) -> None:
    with Emulator(catalogue) as emulator:
        chosen = at(lab, emulator, channels_per_refresh=0)
        asked = []
        for days in (0, 1, 1, 40):
            emulator.advance(timedelta(days=days))
            before = emulator.counts.calls.get("videos", 0)
            assert collect(chosen, "tech").trending_from == "search"
            asked.append(emulator.counts.calls["videos"] - before)
    # Count the calls of `videos.list` in the four runs. In each run, one call reads the videos that the search found.
    # In the first and the last run, another call requests the chart of the category's most popular videos. YouTube
    # refuses the call for the chart.
    assert asked == [2, 1, 1, 2]


def test_known_uploads_cost_no_unit_and_are_observed_again(lab: Lab, catalogue: SyntheticCatalogue) -> None:
    with Emulator(catalogue) as emulator:
        chosen = at(lab, emulator, videos_per_niche=1)
        first = collect(chosen, "tech")
        emulator.advance(timedelta(days=1))
        again = collect(chosen, "tech")
    assert again.quota.spent["stats"] == 1
    assert again.quota.spent["units"] < first.quota.spent["units"]
    assert (again.new_videos, again.new_observations) == (0, again.seen)


def test_collecting_again_adds_nothing_and_keeps_everything(lab: Lab, catalogue: SyntheticCatalogue) -> None:
    with Emulator(catalogue) as emulator:
        lab = at(lab, emulator)
        first, again = collect(lab, "tech"), collect(lab, "tech")
    assert first.new_videos == first.new_observations == first.seen > 15
    assert (again.new_videos, again.new_observations, again.seen) == (0, 0, first.seen)
    with lab.engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(video_stats)).scalar_one() == first.seen


def test_the_same_video_later_is_another_observation(lab: Lab, catalogue: SyntheticCatalogue) -> None:
    with Emulator(catalogue) as emulator:
        first = collect(at(lab, emulator), "tech")
    day_after = catalogue.observed_at.replace(day=21)
    more = Edited(catalogue, lambda v: dataclasses.replace(v, views=v.views + 7, title=v.title + "!"), day_after)
    with Emulator(more) as emulator:
        again = collect(at(lab, emulator), "tech")
    assert (again.new_videos, again.new_observations) == (0, first.seen)
    with lab.engine.connect() as connection:
        grown = "SELECT max(view_count) - min(view_count) FROM video_stats GROUP BY video_id"
        assert set(connection.execute(text(grown)).scalars()) == {7}
        assert all(title.endswith("!") for title in connection.execute(select(videos.c.title)).scalars())


def test_counts_that_youtube_does_not_give_stay_unknown(
    lab: Lab, catalogue: SyntheticCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Emulator(catalogue) as emulator:
        real = emulator._api.endpoints["videos"]

        def hidden(params: Any) -> Any:
            answer = real(params)
            for item in answer["items"]:
                for name in ("viewCount", "likeCount", "commentCount"):
                    item.get("statistics", {}).pop(name, None)
            return answer

        monkeypatch.setitem(emulator._api.endpoints, "videos", hidden)
        collect(at(lab, emulator), "tech")
    with lab.engine.connect() as connection:
        rows = connection.execute(
            select(video_stats.c.view_count, video_stats.c.like_count, video_stats.c.comment_count).distinct()
        ).all()
    assert [tuple(row) for row in rows] == [(None, None, None)]
    assert not next(v for v in check_collection(lab, "tech") if v.name == "plausible").passed


def test_a_list_that_repeats_a_video_needs_no_second_call(
    lab: Lab, catalogue: SyntheticCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads, fetch = YouTube.uploads, YouTube.videos
    asked: list[str] = []

    def fetch_and_note(youtube: YouTube, ids: list[str], niche: str) -> Any:
        asked.extend(ids)
        return fetch(youtube, ids, niche)

    def repeated(*given: Any) -> Any:
        page = uploads(*given)
        return dataclasses.replace(page, items=page.items[::-1] + page.items)

    monkeypatch.setattr(YouTube, "uploads", repeated)
    monkeypatch.setattr(YouTube, "videos", fetch_and_note)
    with Emulator(catalogue) as emulator:
        collected = collect(at(lab, emulator, videos_per_niche=5), "tech")
    assert collected.new_videos == collected.seen > 15
    assert sorted(asked) == sorted(set(asked))


def test_channels_are_walked_in_turn_the_longest_unvisited_first(lab: Lab, catalogue: SyntheticCatalogue) -> None:
    two_channels = Edited(catalogue, lambda v: dataclasses.replace(v, niche="tech"), catalogue.observed_at)
    walked: list[set[str]] = []
    with Emulator(two_channels) as emulator:
        chosen = at(lab, emulator, channels_per_refresh=2, videos_per_niche=50)
        for _ in range(2):
            assert collect(chosen, "tech").channels_walked == 2
            with lab.engine.connect() as connection:
                done = connection.execute(select(channels.c.channel_id).where(channels.c.walked_at.is_not(None)))
                walked.append(set(done.scalars()))
    assert (len(walked[0]), len(walked[1])) == (2, 4)


@pytest.mark.parametrize("style", ["403", "429"])
def test_a_run_that_uses_up_the_quota_keeps_its_videos_and_continues_after_the_reset(
    lab: Lab, catalogue: SyntheticCatalogue, style: Any
) -> None:
    with Emulator(catalogue, daily_units=3, quota_style=style) as emulator:
        chosen = at(lab, emulator, videos_per_niche=5)
        first = collect(chosen, "tech")
        with lab.engine.connect() as connection:
            kept = connection.execute(select(func.count()).select_from(videos)).scalar_one()
        assert first.new_videos == first.seen == kept == 5
        # The run is on 20 November at 12:00 UTC, which is 04:00 in California. The quota is reset at the next midnight
        # in California, on 21 November at 08:00 UTC.
        assert first.stopped is not None
        assert "2026-11-21 08:00 UTC" in first.stopped
        asked = sum(emulator.counts.calls.values())
        blocked = collect(chosen, "tech")
        assert blocked.stopped is not None
        assert "2026-11-21 08:00 UTC" in blocked.stopped
        # The second run has no units left, so it can make no call that costs units. The run may make one search,
        # because searches have a quota of their own.
        assert sum(emulator.counts.calls.values()) - asked <= 1
        emulator.quota.limits["units"] = None
        emulator.advance(timedelta(hours=20))
        again = collect(chosen, "tech")
    assert again.stopped is None
    assert kept < again.seen == kept + again.new_videos


def test_without_a_key_the_error_names_the_setting(lab: Lab) -> None:
    with pytest.raises(LabError, match="THUMBLAB_YOUTUBE_API_KEY"):
        collect(lab, "tech")


def refused(lab: Lab, caplog: pytest.LogCaptureFixture) -> YouTubeError:
    """Collect a niche, which must fail, and return the error.

    Check that the API key is neither in a traceback nor in the log.
    """
    with caplog.at_level(logging.INFO), pytest.raises(YouTubeError) as caught:
        collect(lab, "tech")
    assert SECRET not in str(caught.getrepr(style="long", showlocals=False))
    assert SECRET not in str(caught.value)
    assert SECRET not in caplog.text
    return caught.value


def test_a_wrong_key_is_a_lasting_error_that_does_not_show_the_key(
    lab: Lab, catalogue: SyntheticCatalogue, caplog: pytest.LogCaptureFixture
) -> None:
    with Emulator(catalogue, key="another") as emulator:
        error = refused(at(lab, emulator), caplog)
    assert (error.reason, error.transient) == ("keyInvalid", False)


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9/", "http://nobody.invalid/"])
def test_an_unreachable_server_is_a_transient_error_that_does_not_show_the_key(
    lab: Lab, caplog: pytest.LogCaptureFixture, endpoint: str
) -> None:
    settings = Settings(
        **lab.settings.model_dump(exclude_unset=True)
        | {"youtube_endpoint": endpoint, "youtube_api_key": SECRET, "youtube_first_wait_s": 0.01}
    )
    error = refused(dataclasses.replace(lab, settings=settings), caplog)
    assert error.transient
    assert "could not be reached" in str(error)


def test_an_answer_that_is_not_youtubes_is_reported_with_its_status(
    lab: Lab, catalogue: SyntheticCatalogue, caplog: pytest.LogCaptureFixture
) -> None:
    # The path `nowhere/` does not belong to the API. The emulator therefore answers with a 404 that does not have the
    # format of YouTube's errors.
    with Emulator(catalogue) as emulator:
        error = refused(at(lab, emulator, youtube_endpoint=emulator.endpoint + "nowhere/"), caplog)
    assert error.kind is ErrorKind.NOT_FOUND
    assert "404" in str(error)


def test_every_batch_is_committed(lab: Lab, catalogue: SyntheticCatalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def dies_at_the_third(*given: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise ZeroDivisionError
        return real(*given)

    real = collecting.save_videos
    monkeypatch.setattr(collecting, "save_videos", dies_at_the_third)
    monkeypatch.setattr(refresh, "PAGE_SIZE", 5)
    with Emulator(catalogue) as emulator, pytest.raises(ZeroDivisionError):
        collect(at(lab, emulator, videos_per_niche=5), "tech")
    with lab.engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(videos)).scalar_one() == 10
