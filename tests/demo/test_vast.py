"""Test the vast catalogue.

The catalogue has exactly the requested number of videos, and computes each video only when the video is read.
"""

import re
import time
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from emulated import client, get, size_of, walk

from demo.catalogues.drafts import CLOCK
from demo.catalogues.identifiers import ChannelIds, Permutation, VideoIds
from demo.catalogues.source import CATEGORY_OF, CatalogueVideo, Query
from demo.catalogues.vast import VastCatalogue, vast_catalogue
from demo.catalogues.vast_fields import SHARE
from demo.emulator import Emulator
from demo.messages import Request
from thumblab_core.niches import DEFAULT_NAMES


@pytest.fixture(scope="module")
def vast() -> VastCatalogue:
    return vast_catalogue()


@pytest.fixture(scope="module")
def small() -> VastCatalogue:
    return vast_catalogue(channels=21, videos=3_000, seed=2)


@pytest.fixture
def emulator(small: VastCatalogue) -> Iterator[Emulator]:
    with Emulator(small) as running:
        yield running


def all_videos(catalogue: VastCatalogue) -> list[CatalogueVideo]:
    return [catalogue.at(index) for index in range(catalogue.video_count)]


def test_the_catalogue_has_exactly_the_requested_size_and_very_unequal_channels(vast: VastCatalogue) -> None:
    channels = [vast.channel(channel_id) for channel_id in vast.channel_ids]
    sizes = sorted(len(channel.videos) for channel in channels if channel is not None)
    assert (len(sizes), sum(sizes), vast.video_count, vast.channel_count) == (1500, 200_000, 200_000, 1500)
    assert sizes[0] >= 10 and sizes[-1] > 20 * sizes[750]
    small_channels = [channel for channel in channels if channel is not None and channel.subscribers < 100]
    assert len(small_channels) == vast.planted().small_channels == 30
    assert {channel.niche for channel in channels if channel is not None} == set(DEFAULT_NAMES)


def test_an_id_can_be_decoded_to_its_video_or_channel(vast: VastCatalogue) -> None:
    for index in range(0, 200_000, 1_777):
        video = vast.at(index)
        assert re.fullmatch(r"[A-Za-z0-9_-]{11}", video.video_id)
        assert vast.video(video.video_id) == video
    for channel_id in vast.channel_ids[:50]:
        assert re.fullmatch(r"UC[A-Za-z0-9_-]{22}", channel_id)
        channel = vast.channel(channel_id)
        assert channel is not None and channel.channel_id == channel_id
        assert vast.channel_by_handle(channel.handle) == channel
    assert len({vast.at(index).video_id for index in range(20_000)}) == 20_000
    assert len(set(vast.channel_ids)) == 1500


@pytest.mark.parametrize("text", ["", "nosuchvideo", "x" * 11, "é" * 11, "a/b+c=d e f", "UC" + "a" * 22])
def test_an_invalid_id_is_unknown(vast: VastCatalogue, text: str) -> None:
    assert vast.video(text) is None
    assert vast.channel(text) is None
    with pytest.raises(KeyError):
        vast.image(text)


def test_an_id_with_another_last_character_is_another_id() -> None:
    ids = VideoIds(7)
    name = ids.of(5)
    others = [name[:-1] + letter for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if letter != name[-1]]
    assert ids.index(name) == 5
    assert all(ids.index(other) != 5 for other in others)
    assert ChannelIds(7).index(ChannelIds(8).of(5)) is None


def test_the_permutation_can_be_inverted() -> None:
    permutation = Permutation("a key")
    numbers = [0, 1, 2, 1 << 32, (1 << 64) - 1]
    assert [permutation.backward(permutation.forward(number)) for number in numbers] == numbers
    assert permutation.forward(1) != Permutation("another").forward(1)


def test_the_seed_determines_the_videos(small: VastCatalogue) -> None:
    again, other = vast_catalogue(21, 3_000, 2), vast_catalogue(21, 3_000, 3)
    assert all_videos(again) == all_videos(small)
    assert not {video.video_id for video in all_videos(other)} & {video.video_id for video in all_videos(small)}


def test_every_kind_has_its_properties_and_its_share(small: VastCatalogue) -> None:
    counts: Counter[str] = Counter()
    for video in all_videos(small):
        kind = small.kind(video.video_id)
        counts[kind] += 1
        unfinished = video.broadcast != "none"
        assert (video.views < 1_000) == (kind in ("few_views", "upcoming"))
        assert (not unfinished and video.duration_s < 60) == (kind == "under_a_minute")
        assert (not unfinished and video.duration_s > 3_600) == (kind == "over_an_hour")
        portrait = video.aspect_ratio is not None and video.aspect_ratio < 1
        assert (portrait and video.duration_s <= 180) == (kind == "short")
        assert video.broadcast == (kind if kind in ("live", "upcoming") else "none")
        assert (video.language not in (None, "en")) == (kind == "other_language")
    planted = small.planted()
    assert planted.videos == counts
    assert sum(planted.videos.values()) == 3_000
    for kind, count in counts.items():
        if kind != "plain":
            assert abs(count - 3_000 * SHARE) < 4 * (3_000 * SHARE) ** 0.5


def test_uploads_are_newest_first_and_span_89_days(small: VastCatalogue) -> None:
    for channel_id in small.channel_ids:
        channel = small.channel(channel_id)
        assert channel is not None
        times = [video.published_at for video in channel.videos]
        assert times == sorted(times, reverse=True)
        assert CLOCK - timedelta(days=89) <= times[-1] and times[0] <= CLOCK
        assert times[0] - times[-1] > timedelta(days=60)


@pytest.mark.parametrize("days", [(30, 10), (1.5, 0.5), (None, 40), (20, None), (500, 400), (-1, -2)])
@pytest.mark.parametrize("niche", [None, "tech"])
def test_a_search_returns_the_videos_of_its_time_window(
    small: VastCatalogue, days: tuple[float | None, float | None], niche: str | None
) -> None:
    after, before = (None if d is None else CLOCK - timedelta(days=d) for d in days)
    expected = [
        video
        for video in all_videos(small)
        if (after is None or video.published_at >= after)
        and (before is None or video.published_at < before)
        and niche in (None, video.niche)
    ]
    categories = None if niche is None else frozenset({CATEGORY_OF[niche]})
    result = small.search(Query("date", None, categories, after, before), CLOCK)
    newest = sorted((video.published_at for video in expected), reverse=True)[:600]
    assert (result.total, [video.published_at for video in result.videos]) == (len(expected), newest)
    by_views = small.search(Query("viewCount", None, categories, after, before), CLOCK).videos
    assert {video.video_id for video in by_views} <= {video.video_id for video in expected}
    assert [video.views for video in by_views] == sorted((video.views for video in by_views), reverse=True)


def test_a_time_window_includes_its_start_but_not_its_end(small: VastCatalogue) -> None:
    video = small.at(700)
    at, second = video.published_at, timedelta(seconds=1)

    def search(after: Any, before: Any) -> list[str]:
        query = Query("date", video.channel_id, None, after, before)
        return [video.video_id for video in small.search(query, CLOCK).videos]

    assert video.video_id in search(at, at + second)
    assert video.video_id not in search(at + second, None)
    assert video.video_id not in search(None, at)


def test_a_search_finds_many_channels_and_its_pages_are_repeatable(vast: VastCatalogue) -> None:
    after = (CLOCK - timedelta(days=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
    with Emulator(vast) as emulator:
        search = client(emulator).search()
        request = search.list(
            part="snippet",
            type="video",
            order="viewCount",
            videoCategoryId="28",
            publishedAfter=after,
            regionCode="AU",
            relevanceLanguage="en",
            maxResults=50,
        )
        first, again = walk(search, request), walk(search, request)
        # A search returns at most 500 results, which are 10 pages of 50. Each of the two calls of `walk` reads these 10
        # pages.
        assert emulator.counts.calls == {"search": 20}
    ids = [item["id"]["videoId"] for item in first]
    assert [item["id"]["videoId"] for item in again] == ids
    assert len(ids) == len(set(ids)) == 500
    assert len({item["snippet"]["channelId"] for item in first}) > 80


def test_paging_through_a_channel_reaches_its_last_video(emulator: Emulator, small: VastCatalogue) -> None:
    youtube = client(emulator)
    largest = max(
        (small.channel(channel_id) for channel_id in small.channel_ids), key=lambda c: len(c.videos) if c else 0
    )
    assert largest is not None
    [item] = youtube.channels().list(part="contentDetails,statistics", id=largest.channel_id).execute()["items"]
    assert int(item["statistics"]["videoCount"]) == len(largest.videos) > 300
    entries = youtube.playlistItems()
    playlist = item["contentDetails"]["relatedPlaylists"]["uploads"]
    items = walk(entries, entries.list(part="contentDetails", playlistId=playlist, maxResults=50))
    assert [entry["contentDetails"]["videoId"] for entry in items] == [video.video_id for video in largest.videos]
    removed_id = largest.videos[60].video_id
    emulator.remove(removed_id)
    items = walk(entries, entries.list(part="contentDetails", playlistId=playlist, maxResults=50))
    assert [entry["contentDetails"]["videoId"] for entry in items] == [
        video.video_id for video in largest.videos if video.video_id != removed_id
    ]


def test_views_grow_and_upcoming_videos_have_no_views(emulator: Emulator, small: VastCatalogue) -> None:
    videos = [*all_videos(small)[:49], next(video for video in all_videos(small) if video.broadcast == "upcoming")]
    ids = [video.video_id for video in videos]
    emulator.advance(timedelta(days=10))
    items = client(emulator).videos().batchGetStats(part="statistics", id=ids).execute()["items"]
    views = {item["id"]: int(item["statistics"]["viewCount"]) for item in items}
    assert all(views[video.video_id] > video.views for video in videos if video.views)
    assert views[ids[-1]] == 0


def test_every_video_has_a_different_picture(emulator: Emulator, small: VastCatalogue) -> None:
    ids = [small.at(index).video_id for index in range(100)]
    bodies = [get(emulator, f"/vi/{video_id}/mqdefault.jpg")[2] for video_id in ids]
    assert {size_of(body) for body in bodies} == {(320, 180)}
    assert len(set(bodies)) == 100
    assert small.image(ids[0]) == small.image(ids[0])


def test_a_page_takes_milliseconds_and_memory_does_not_grow_with_the_videos() -> None:
    tracemalloc.start()
    vast = vast_catalogue()
    memory = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    # The catalogue keeps only its 1,500 channels in memory. If it also kept the 200,000 videos, it would need more than
    # 50 MB.
    assert memory < 3_000_000
    emulator = Emulator(vast)
    channel = max(
        (vast.channel(channel_id) for channel_id in vast.channel_ids), key=lambda c: len(c.videos) if c else 0
    )
    assert channel is not None
    ids = ",".join(video.video_id for video in channel.videos[2_000:2_050])
    queries = {
        "playlistItems": {"part": "snippet,contentDetails", "playlistId": channel.uploads_playlist, "maxResults": "50"},
        "videos": {"part": "snippet,contentDetails,statistics,status,player", "id": ids, "maxHeight": "720"},
    }
    for endpoint, query in queries.items():
        request = Request(
            "GET", f"/youtube/v3/{endpoint}", {name: [text] for name, text in {**query, "key": "k"}.items()}
        )
        spent = []
        for _ in range(20):
            start = time.perf_counter()
            assert emulator.respond(request).status == 200
            spent.append(time.perf_counter() - start)
        # A page takes 1 to 2 ms on an idle machine, so this limit fails only if a page reads the whole catalogue.
        assert min(spent) < 0.02
    emulator.stop()


def test_too_few_channels_or_videos_are_an_error() -> None:
    with pytest.raises(ValueError, match="at least 7 channels"):
        vast_catalogue(channels=6)
    with pytest.raises(ValueError, match="a video for each"):
        vast_catalogue(channels=10, videos=9)
