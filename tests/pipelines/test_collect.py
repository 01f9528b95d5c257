"""Promises of collecting, kept against the emulator with Google's own client."""

import dataclasses
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import func, select, text

from demo.catalogue import Catalogue, CatalogueVideo
from demo.emulator import Emulator
from demo.synthetic import SyntheticCatalogue
from thumblab_core.database.tables import channels, video_stats, videos
from thumblab_core.errors import LabError
from thumblab_core.niches import NICHES
from thumblab_core.settings import Settings
from thumblab_pipelines.steps import collect as module
from thumblab_pipelines.steps.collect import collect, judge_collection
from thumblab_pipelines.steps.lab import Lab
from thumblab_pipelines.steps.youtube import YouTube, YouTubeError

SECRET = "AIzaSecretOfTheTests"


class Edited(Catalogue):
    """Another catalogue with its videos changed, at another moment."""

    def __init__(self, source: Catalogue, change: Callable[[CatalogueVideo], CatalogueVideo], at: datetime) -> None:
        super().__init__([change(video) for video in source.videos.values()], at)
        self._source = source

    def image(self, video_id: str) -> bytes:
        return self._source.image(video_id)

    def image_size(self, video_id: str) -> tuple[int, int]:
        return self._source.image_size(video_id)


def at(lab: Lab, emulator: Emulator, **changes: Any) -> Lab:
    """The lab, with its settings aimed at the emulator."""
    chosen = {"youtube_endpoint": emulator.endpoint, "youtube_api_key": SECRET} | changes
    return dataclasses.replace(lab, settings=Settings(**(lab.settings.model_dump(exclude_unset=True) | chosen)))


@pytest.fixture
def lab(open_lab: Callable[..., Lab]) -> Lab:
    return open_lab()


def test_it_finds_every_video_of_the_catalogue_as_it_is(small: Any, catalogue: SyntheticCatalogue) -> None:
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


def test_what_is_seen_is_dated_by_the_server_and_not_by_this_machine(small: Any, catalogue: SyntheticCatalogue) -> None:
    with small.lab.engine.connect() as connection:
        assert connection.execute(select(video_stats.c.observed_at).distinct()).scalars().all() == [
            catalogue.observed_at
        ]


def test_gaming_comes_from_the_chart_and_the_others_from_the_search(small: Any) -> None:
    origin = {niche: found.trending_from for niche, found in small.collected.items()}
    assert origin == {niche: "chart" if niche == "gaming" else "search" for niche in NICHES}
    assert all(verdict.passed for niche in NICHES for verdict in judge_collection(small.lab, niche))


def test_it_costs_few_calls(small: Any) -> None:
    for niche, found in small.collected.items():
        assert found.seen == sum(v.niche == niche for v in small.catalogue.videos.values())
        assert found.api_calls <= 6


def test_collecting_again_finds_nothing_new_and_keeps_everything(lab: Lab, catalogue: SyntheticCatalogue) -> None:
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


def test_counts_that_youtube_does_not_tell_stay_unknown(
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
    assert not next(v for v in judge_collection(lab, "tech") if v.name == "plausible").passed


def test_a_list_that_repeats_a_video_over_its_pages_is_no_problem(
    lab: Lab, catalogue: SyntheticCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads, look = YouTube.uploads, YouTube.videos
    asked: list[str] = []

    def looked(youtube: YouTube, ids: list[str], niche: str) -> Any:
        asked.extend(ids)
        return look(youtube, ids, niche)

    monkeypatch.setattr(YouTube, "uploads", lambda *given: uploads(*given)[::-1] + uploads(*given))
    monkeypatch.setattr(YouTube, "videos", looked)
    with Emulator(catalogue) as emulator:
        found = collect(at(lab, emulator, videos_per_niche=5), "tech")
    assert found.new_videos == found.seen > 15
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


def test_what_was_collected_before_a_failure_stays_and_the_next_run_goes_on(
    lab: Lab, catalogue: SyntheticCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Emulator(catalogue, daily_units=3) as emulator:  # enough for the first batch of videos
        chosen = at(lab, emulator)
        with pytest.raises(LabError, match="quotaExceeded"):
            collect(chosen, "tech")
        with lab.engine.connect() as connection:
            kept = connection.execute(select(func.count()).select_from(videos)).scalar_one()
        emulator.reset_quota()
        monkeypatch.setattr(emulator, "_daily_units", None)
        again = collect(chosen, "tech")
    assert kept > 0
    assert again.new_videos == again.seen - kept


def test_no_key_is_a_sentence_that_names_the_setting(lab: Lab) -> None:
    with pytest.raises(LabError, match="THUMBLAB_YOUTUBE_API_KEY"):
        collect(lab, "tech")


def refused(lab: Lab, caplog: pytest.LogCaptureFixture) -> YouTubeError:
    """The error of a collection, after a look that neither it, what led to it, nor the log shows the key."""
    with caplog.at_level(logging.INFO), pytest.raises(YouTubeError) as caught:
        collect(lab, "tech")
    assert SECRET not in str(caught.getrepr(style="long", showlocals=False))
    assert SECRET not in str(caught.value)
    assert SECRET not in caplog.text
    return caught.value


def test_a_wrong_key_is_refused_for_good_without_being_shown(
    lab: Lab, catalogue: SyntheticCatalogue, caplog: pytest.LogCaptureFixture
) -> None:
    with Emulator(catalogue, key="another") as emulator:
        error = refused(at(lab, emulator), caplog)
    assert (error.reason, error.transient) == ("keyInvalid", False)


def test_an_exhausted_quota_is_not_tried_again_today(
    lab: Lab, catalogue: SyntheticCatalogue, caplog: pytest.LogCaptureFixture
) -> None:
    with Emulator(catalogue, daily_units=0) as emulator:
        error = refused(at(lab, emulator), caplog)
        assert sum(emulator.counts.calls.values()) == 1
    assert (error.reason, error.transient) == ("quotaExceeded", False)
    assert "403" in str(error)


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9/", "http://nobody.invalid/"])
def test_a_server_that_cannot_be_reached_may_be_tried_again_and_the_key_is_not_shown(
    lab: Lab, caplog: pytest.LogCaptureFixture, endpoint: str
) -> None:
    settings = Settings(
        **(lab.settings.model_dump(exclude_unset=True) | {"youtube_endpoint": endpoint, "youtube_api_key": SECRET})
    )
    error = refused(dataclasses.replace(lab, settings=settings), caplog)
    assert error.transient
    assert "could not be reached" in str(error)


def test_a_page_that_is_no_answer_of_youtube_is_a_sentence(
    lab: Lab, catalogue: SyntheticCatalogue, caplog: pytest.LogCaptureFixture
) -> None:
    with Emulator(catalogue) as emulator:  # its root answers 404 in another form than the API
        error = refused(at(lab, emulator, youtube_endpoint=emulator.endpoint + "nowhere/"), caplog)
    assert "YouTube refused a call (404" in str(error)


def test_every_batch_is_committed(lab: Lab, catalogue: SyntheticCatalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def dies_at_the_third(*given: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise ZeroDivisionError
        return real(*given)

    real = module.save_videos
    monkeypatch.setattr(module, "save_videos", dies_at_the_third)
    monkeypatch.setattr(module, "PAGE", 5)
    with Emulator(catalogue) as emulator, pytest.raises(ZeroDivisionError):
        collect(at(lab, emulator), "tech")
    with lab.engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(videos)).scalar_one() == 10
