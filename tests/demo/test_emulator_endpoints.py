"""Test the answers about unusual videos and channels, and how views grow with the emulator's clock."""

import dataclasses
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from emulated import client, get, refusal

from demo.catalogues.catalogue import Catalogue
from demo.catalogues.source import CatalogueVideo
from demo.catalogues.synthetic import SyntheticCatalogue
from demo.emulator import Emulator

EVERY_PART = "snippet,contentDetails,statistics"


class Edited(Catalogue):
    """A copy of a catalogue. The keyword arguments `changes` replace fields of its first video."""

    def __init__(self, source: Catalogue, **changes: Any) -> None:
        first, *rest = source.videos.values()
        super().__init__([dataclasses.replace(first, **changes), *rest], source.observed_at)
        self.first = self.videos[first.video_id]
        self._source = source

    def image(self, video_id: str) -> bytes:
        return self._source.image(video_id)

    def image_size(self, video_id: str) -> tuple[int, int]:
        return self._source.image_size(video_id)


def first_item(catalogue: Edited, **query: Any) -> dict[str, Any]:
    with Emulator(catalogue) as emulator:
        request = client(emulator).videos().list(**{"part": EVERY_PART, "id": catalogue.first.video_id, **query})
        [item] = request.execute()["items"]
        return dict(item)


def test_statistics_come_fifty_at_a_time_and_missing_videos_are_left_out(
    running: Emulator, small_catalogue: SyntheticCatalogue
) -> None:
    videos = list(small_catalogue.videos.values())[:49]
    call = client(running).videos().batchGetStats
    ids = [video.video_id for video in videos]
    answer = call(part=["id", "snippet", "contentDetails", "statistics"], id=[*ids, "nosuchvideo"]).execute()
    assert answer["kind"] == "youtube#batchGetStatsResponse"
    assert [item["id"] for item in answer["items"]] == ids
    for item, video in zip(answer["items"], videos, strict=True):
        assert item["kind"] == "youtube#videoStats"
        assert item["snippet"]["publishTime"] == video.published_at.strftime("%Y-%m-%dT%H:%M:%SZ")
        assert item["contentDetails"]["duration"] == f"{video.duration_s}s"
        assert item["statistics"] == {
            "viewCount": str(video.views),
            "likeCount": str(video.views // 25),
            "commentCount": str(video.views // 400),
        }
    assert set(call(part="statistics", id=ids).execute()["items"][0]) == {"kind", "etag", "id", "statistics"}
    assert refusal(call(part="statistics", id=[f"{n:011}" for n in range(51)])) == (400, "invalidFilters")
    assert running.counts.calls == {"videos:batchGetStats": 3}


@pytest.mark.parametrize("parties", [("none",), ("all",), ("One Ltd", "Another Inc")])
def test_trainability_lists_who_may_train_on_a_video(
    small_catalogue: SyntheticCatalogue, parties: tuple[str, ...]
) -> None:
    catalogue = Edited(small_catalogue, trainable=parties)
    with Emulator(catalogue) as emulator:
        call = client(emulator).videoTrainability()
        answer = call.get(id=catalogue.first.video_id).execute()
        assert answer == {
            "kind": "youtube#videoTrainability",
            "videoId": catalogue.first.video_id,
            "permitted": list(parties),
        }
        assert refusal(call.get(id="nosuchvideo")) == (404, "videoNotFound")


@pytest.mark.parametrize(
    ("ratio", "box", "size"),
    [
        (16 / 9, {"maxWidth": 1600}, ("1600", "900")),
        (16 / 9, {"maxWidth": 1600, "maxHeight": 450}, ("800", "450")),
        (9 / 16, {"maxWidth": 720, "maxHeight": 720}, ("405", "720")),
        (9 / 16, {}, None),
        (None, {"maxWidth": 720, "maxHeight": 720}, None),
    ],
)
def test_the_player_reveals_the_aspect_ratio_if_a_size_is_requested(
    small_catalogue: SyntheticCatalogue, ratio: float | None, box: dict[str, int], size: tuple[str, str] | None
) -> None:
    player = first_item(Edited(small_catalogue, aspect_ratio=ratio), part="player", **box)["player"]
    assert "<iframe" in player.pop("embedHtml")
    assert player == ({} if size is None else {"embedWidth": size[0], "embedHeight": size[1]})


@pytest.mark.parametrize("broadcast", ["live", "upcoming"])
def test_a_live_or_upcoming_video_has_no_duration(small_catalogue: SyntheticCatalogue, broadcast: str) -> None:
    item = first_item(Edited(small_catalogue, broadcast=broadcast, duration_s=600))
    assert item["snippet"]["liveBroadcastContent"] == broadcast
    assert item["contentDetails"]["duration"] == "P0D"


def test_hidden_counts_are_missing_from_the_statistics(small_catalogue: SyntheticCatalogue) -> None:
    item = first_item(Edited(small_catalogue, hidden_counts=True))
    assert set(item["statistics"]) == {"commentCount", "favoriteCount"}


def test_the_language_appears_only_if_the_owner_stated_it(small_catalogue: SyntheticCatalogue) -> None:
    german = first_item(Edited(small_catalogue, language="de"))["snippet"]
    assert (german["defaultLanguage"], german["defaultAudioLanguage"]) == ("de", "de")
    unstated = first_item(Edited(small_catalogue))["snippet"]
    assert "defaultLanguage" not in unstated and "defaultAudioLanguage" not in unstated


def test_a_channel_is_found_by_its_handle(running: Emulator, small_catalogue: SyntheticCatalogue) -> None:
    channel = next(iter(small_catalogue.channels.values()))
    call = client(running).channels()
    for handle in (channel.handle, f"@{channel.handle}", f"@{channel.handle.upper()}"):
        [item] = call.list(part="snippet,status", forHandle=handle).execute()["items"]
        assert item["id"] == channel.channel_id
        assert item["snippet"]["customUrl"] == f"@{channel.handle}"
        assert item["status"]["privacyStatus"] == "public"
    assert "items" not in call.list(part="id", forHandle="@nobody").execute()


def test_a_search_validates_region_and_language(running: Emulator) -> None:
    def search(**query: Any) -> Any:
        return client(running).search().list(part="snippet", type="video", **query)

    answer = search(regionCode="AU", relevanceLanguage="zh-Hans").execute()
    assert answer["regionCode"] == "AU" and answer["items"]
    assert refusal(search(regionCode="Australia")) == (400, "invalidParameter")
    assert refusal(search(relevanceLanguage="english")) == (400, "invalidParameter")


def test_a_search_in_a_channel_pages_through_its_videos(running: Emulator, small_catalogue: SyntheticCatalogue) -> None:
    channel = next(iter(small_catalogue.channels.values()))
    search = client(running).search()
    request = search.list(part="snippet", type="video", order="date", channelId=channel.channel_id, maxResults=8)
    video_ids = []
    while request is not None:
        answer = request.execute()
        video_ids += [item["id"]["videoId"] for item in answer["items"]]
        request = search.list_next(request, answer)
    assert video_ids == [video.video_id for video in channel.videos]


def views_of(emulator: Emulator, ids: list[str]) -> list[int]:
    items = client(emulator).videos().batchGetStats(part="statistics", id=ids).execute()["items"]
    return [int(item["statistics"]["viewCount"]) for item in items]


def test_views_grow_with_the_clock_by_the_planted_formula(
    running: Emulator, small_catalogue: SyntheticCatalogue
) -> None:
    videos = list(small_catalogue.videos.values())[:50]
    ids = [video.video_id for video in videos]
    assert views_of(running, ids) == [video.views for video in videos]
    running.advance(timedelta(days=2))

    def expected(video: CatalogueVideo, now: datetime) -> float:
        age_observed, age_now = (
            (moment - video.published_at) / timedelta(days=1) for moment in (small_catalogue.observed_at, now)
        )
        return video.views * (age_now / (age_now + 3)) / (age_observed / (age_observed + 3))

    grown = views_of(running, ids)
    assert grown == [pytest.approx(expected(video, running.now), abs=1) for video in videos]
    assert max(later / video.views for later, video in zip(grown, videos, strict=True)) > 1.15


def test_no_view_count_shrinks_when_the_clock_advances(running: Emulator, small_catalogue: SyntheticCatalogue) -> None:
    ids = list(small_catalogue.videos)[:50]
    before = views_of(running, ids)
    for step in (timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=7), timedelta(days=400)):
        running.advance(step)
        now = views_of(running, ids)
        assert all(earlier <= later for earlier, later in zip(before, now, strict=True))
        before = now


def test_views_of_a_catalogue_without_growth_stay_constant(small_catalogue: SyntheticCatalogue) -> None:
    catalogue = Edited(small_catalogue)
    with Emulator(catalogue) as emulator:
        emulator.advance(timedelta(days=30))
        assert views_of(emulator, [catalogue.first.video_id]) == [catalogue.first.views]


@pytest.mark.parametrize("change", [lambda e, v: e.rename(v, "x"), lambda e, v: e.remove(v)], ids=["rename", "remove"])
def test_changing_an_unknown_video_raises_key_error(running: Emulator, change: Callable[[Emulator, str], None]) -> None:
    with pytest.raises(KeyError):
        change(running, "nosuchvideo")
    assert get(running, "/vi/nosuchvideo/default.jpg")[0] == 404
