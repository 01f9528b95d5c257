"""Tests of endless lists, in which every page has the token of a next page. The tests use real sockets.

The lab reads such a list with a few calls and counts it as read. The next run therefore does not read the list again.
"""

import dataclasses
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from local_server import Handler, local_server, url_of
from pydantic import SecretStr
from sqlalchemy import insert, select

from thumblab_core.database.tables import channels, crawl_channels, crawl_searches, quota_ledger, videos
from thumblab_core.settings import Settings
from thumblab_pipelines.channels.collect import collect_channel
from thumblab_pipelines.collection.crawl import crawl
from thumblab_pipelines.collection.crawl_names import add_channels
from thumblab_pipelines.collection.refresh import collect
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.youtube.answers import Page
from thumblab_pipelines.youtube.errors import ErrorKind, YouTubeError
from thumblab_pipelines.youtube.paging import MAX_PAGES, MAX_PAGES_WITHOUT_NEW_ITEMS, Paging, pages

CHANNEL, PLAYLIST = "UC" + "b" * 22, "UU" + "b" * 22
Json = dict[str, Any]


def upload(number: int, public: bool = True) -> Json:
    published = {"videoPublishedAt": f"2026-11-{1 + number % 20:02d}T10:00:00Z"} if public else {}
    return {"contentDetails": {"videoId": f"v{number:010d}", **published}}


def full_page(page: int) -> list[Json]:
    return [upload(50 * page + n) for n in range(50)]


LISTS: dict[str, tuple[Callable[[int], list[Json]], Callable[[int], str], int]] = {
    "the same token, no items": (lambda page: [], lambda page: "P1", 2),
    "the same token, new items": (full_page, lambda page: "P1", 2),
    "two tokens in turn": (lambda page: full_page(page % 2), lambda page: f"P{1 + page % 2}", 3),
    "ever new tokens, no items": (lambda page: [], lambda page: f"P{page + 1}", MAX_PAGES_WITHOUT_NEW_ITEMS),
    "ever new tokens, the same items": (
        lambda page: full_page(0),
        lambda page: f"P{page + 1}",
        MAX_PAGES_WITHOUT_NEW_ITEMS + 1,
    ),
    "ever new tokens, private videos": (
        lambda page: [upload(50 * page + n, public=False) for n in range(50)],
        lambda page: f"P{page + 1}",
        MAX_PAGES_WITHOUT_NEW_ITEMS,
    ),
}
"""The kinds of endless lists.

Each value has three parts: a function that returns the items of page n, a function that returns the token after page n,
and the maximum number of calls for the list.
"""


class Stub:
    """An imitation of YouTube with one channel.

    The uploads of the channel and the search results are endless lists. `name` is the kind of these lists, a key of
    `LISTS`.
    """

    def __init__(self, name: str, first: list[Json]) -> None:
        self.calls: Counter[str] = Counter()
        self._items, self._token, _ = LISTS[name]
        # `first` are extra uploads on page 0. Some of the endless lists have only old uploads, so the channel would
        # look inactive without the extra uploads. The crawl leaves out inactive channels.
        self._first = first

    def answer(self, name: str, query: dict[str, str]) -> tuple[int, Json]:
        self.calls[name] += 1
        page = int(query.get("pageToken", "P0")[1:])
        if name == "channels":
            statistics = {"subscriberCount": "1000", "videoCount": "6000"}
            details = {"relatedPlaylists": {"uploads": PLAYLIST}}
            item = {"id": CHANNEL, "snippet": {"title": "Bench"}, "statistics": statistics, "contentDetails": details}
            return 200, {"items": [item]}
        if name == "playlistItems":
            first = self._first if page == 0 else []
            return 200, {"items": first + self._items(page), "nextPageToken": self._token(page)}
        if name == "search":
            details = [item["contentDetails"] for item in self._items(page)]
            snippet = {"channelId": CHANNEL, "channelTitle": "Bench"}
            hits = [
                {"id": {"videoId": video["videoId"]}, "snippet": snippet}
                for video in details
                if "videoPublishedAt" in video
            ]
            return 200, {"items": hits, "nextPageToken": self._token(page)}
        if name == "videos" and "id" in query:
            return 200, {"items": []}  # The stub answers as if the listed videos had been deleted.
        return 404, {"error": {"code": 404, "errors": [{"reason": "videoChartNotFound"}]}}


@contextmanager
def serving(stub: Stub) -> Iterator[str]:
    """Serve the stub over HTTP and yield its address."""

    class YouTube(Handler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            status, body = stub.answer(url.path.rpartition("/")[2], {k: v[0] for k, v in parse_qs(url.query).items()})
            self.reply(status, json.dumps(body).encode())

        def do_HEAD(self) -> None:
            self.reply(404)

        def date_time_string(self, timestamp: float | None = None) -> str:
            return "Sat, 21 Nov 2026 10:00:00 GMT"

    with local_server(YouTube) as server:
        yield f"{url_of(server)}/"


@pytest.fixture
def lab(emptied_lab: Callable[..., Lab]) -> Lab:
    return emptied_lab(crawl_searches, quota_ledger, channels)


def connected(lab: Lab, endpoint: str) -> Lab:
    """Return the lab with settings that make it call `endpoint` instead of YouTube.

    The lab's quota is small. Reading an endless list without a limit would spend the whole quota.
    """
    connection = {"youtube_endpoint": endpoint, "youtube_api_key": SecretStr("k"), "youtube_first_wait_s": 0.01}
    quota = {
        "quota_units": 60,
        "quota_kept_units": 0,
        "quota_searches": 40,
        "quota_kept_searches": 0,
        "crawl_threads": 2,
    }
    return dataclasses.replace(
        lab, settings=Settings(**(lab.settings.model_dump(exclude_unset=True) | connection | quota))
    )


def read_to_the_end_at(lab: Lab, table: Any) -> Any:
    """Return the time at which the channel's list of uploads was last read to its end, or None if it was never read to
    its end.

    `table` is the table that stores this time.
    """
    with lab.engine.connect() as connection:
        return connection.scalar(select(table.c.walked_at))


@pytest.mark.parametrize("name", LISTS)
def test_an_endless_list_takes_the_daily_refresh_a_few_calls_and_counts_as_read(lab: Lab, name: str) -> None:
    with lab.engine.begin() as connection:
        connection.execute(insert(channels).values(channel_id=CHANNEL, title="Bench", uploads_playlist=PLAYLIST))
        connection.execute(_insert_video())
    stub = Stub(name, [])
    with serving(stub) as endpoint:
        result = collect(connected(lab, endpoint), "tech")
    assert result.stopped is None
    assert stub.calls["playlistItems"] <= LISTS[name][2]
    assert stub.calls["search"] <= min(LISTS[name][2], 2)
    assert read_to_the_end_at(lab, channels) is not None
    # The refresh stops reading after thirty new items. The refresh therefore does not detect that a list of new items
    # is endless.
    if "new items" not in name:
        assert any(CHANNEL in remark for remark in result.remarks) or stub.calls["playlistItems"] == 1


@pytest.mark.parametrize("name", LISTS)
def test_an_endless_list_takes_an_added_channel_a_few_calls_and_is_remarked(lab: Lab, name: str) -> None:
    stub = Stub(name, [])
    with serving(stub) as endpoint:
        channel, remark = collect_channel(connected(lab, endpoint), CHANNEL, "tech")
    assert channel.channel_id == CHANNEL
    assert stub.calls["playlistItems"] <= LISTS[name][2]
    assert remark is not None
    assert "the list of uploads" in remark
    assert "quota" not in remark


@pytest.mark.parametrize("name", LISTS)
def test_an_endless_list_takes_the_crawl_a_few_calls_and_counts_as_read(lab: Lab, name: str) -> None:
    stub = Stub(name, [upload(9_000 + n) for n in range(12)])
    with serving(stub) as endpoint:
        crawling_lab = connected(lab, endpoint)
        add_channels(crawling_lab, "tech", [CHANNEL])
        first = crawl(crawling_lab, "tech")
        spent = stub.calls["playlistItems"]
        crawl(crawling_lab, "tech")
    assert first.stopped is None or "searches" in first.stopped
    # The extra uploads make page 0 a page with new items. Because of this page, the crawl may read one page more.
    assert spent <= LISTS[name][2] + 1
    assert any(CHANNEL in remark for remark in first.remarks)
    assert stub.calls["playlistItems"] == spent  # The next run does not read the list again.
    assert read_to_the_end_at(lab, crawl_channels) is not None


def _insert_video() -> Any:
    at = datetime(2026, 11, 1, tzinfo=UTC)
    return insert(videos).values(
        video_id="known", niche="tech", channel_id=CHANNEL, title="T", published_at=at, tags=[], source="youtube",
        collected_at=at, refreshed_at=at,
    )  # fmt: skip


def test_long_list_is_read_to_its_end() -> None:
    paging = Paging[int]("a list", lambda item: item)
    list_pages = iter(Page([n], f"P{n}" if n < 300 else None) for n in range(301))
    assert [item for items in pages(paging, lambda _: next(list_pages)) for item in items] == list(range(301))
    assert paging.remark is None


def test_list_of_ever_new_items_ends_at_the_page_limit() -> None:
    paging = Paging[int]("a list", lambda item: item, pages=100)
    list_pages = iter(Page([n], f"P{n}") for n in range(1_000))
    assert len(list(pages(paging, lambda _: next(list_pages)))) == MAX_PAGES - 100
    assert (
        paging.remark
        == f"a list was not read beyond page {MAX_PAGES}: no list of this kind has more than {MAX_PAGES} pages"
    )


def test_refused_token_ends_the_list_and_any_other_refusal_is_raised() -> None:
    def ask(cursor: str | None) -> Page[int]:
        if cursor is None:
            return Page([1], "P1")
        raise YouTubeError("no", ErrorKind.REQUEST, "invalidPageToken")

    paging = Paging[int]("a list", lambda item: item)
    assert list(pages(paging, ask)) == [[1]]
    assert paging.remark is not None
    assert "invalidPageToken" in paging.remark

    def refuse(cursor: str | None) -> Page[int]:
        raise YouTubeError("no", ErrorKind.REQUEST, "invalidPageToken")

    with pytest.raises(YouTubeError):
        list(pages(Paging[int]("a list", lambda item: item), refuse))
