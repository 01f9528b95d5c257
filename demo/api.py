"""The endpoints of the YouTube Data API v3 that the lab calls, answered from a catalogue. No sockets here."""

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, TypeVar

from demo.catalogue import Catalogue, CatalogueVideo, newest_first
from demo.wire import CATEGORIES, ApiError, Json, Wire, category
from thumblab_core.niches import Niche

Params = Mapping[str, Sequence[str]]
"""A query as `urllib.parse.parse_qs` reads it: every parameter may be repeated."""

SEARCH_DEPTH = 500
"""A search never reaches further than this many results, whatever `totalResults` says."""

CHARTS = {
    "": {"10", "1", "30", "20"},
    "0": {"10", "1", "30", "20"},
    "10": {"10"},
    "1": {"1"},
    "30": {"30"},
    "20": {"20"},
}
"""Since July 2025 `mostPopular` serves music, movies and gaming; without a category it mixes these three."""

_MOST = 50  # ids in a call, and results on a page

_Item = TypeVar("_Item")


class Api:
    """Answers queries. Every method raises `ApiError` where the real service would send one.

    Args:
        catalogue: what there is.
        wire: how it is described.
    """

    def __init__(self, catalogue: Catalogue, wire: Wire) -> None:
        self._catalogue = catalogue
        self._wire = wire
        self.endpoints: dict[str, Callable[[Params], Json]] = {
            "search": self.search,
            "videos": self.videos,
            "channels": self.channels,
            "playlistItems": self.playlist_items,
            "videoCategories": self.video_categories,
        }

    def search(self, params: Params) -> Json:
        """`search.list` over videos: order, channelId, videoCategoryId, publishedAfter (inclusive), publishedBefore, q."""
        _parts(params)
        found: Iterable[CatalogueVideo] = self._catalogue.videos.values()
        if channel_id := _one(params, "channelId"):
            found = [video for video in found if video.channel_id == channel_id]
        if category_id := _one(params, "videoCategoryId"):
            if _one(params, "type") != "video":
                raise _bad("invalidSearchFilter", "A video filter needs type=video.", "type")
            found = [video for video in found if _category(video) == category_id]
        if after := _time(params, "publishedAfter"):
            found = [video for video in found if video.published_at >= after]
        if before := _time(params, "publishedBefore"):
            found = [video for video in found if video.published_at < before]
        if query := _one(params, "q"):
            found = [video for video in found if query.casefold() in video.title.casefold()]
        order = _one(params, "order") or "relevance"
        if order in ("viewCount", "relevance"):
            found = _most_viewed(found)
        elif order == "date":
            found = newest_first(found)
        else:
            raise _bad("invalidParameter", f"Invalid value for the parameter order: {order}", "order")
        found = list(found)
        page = _page(params, found[:SEARCH_DEPTH])
        return {
            "kind": "youtube#searchListResponse",
            "regionCode": _one(params, "regionCode") or "US",
            **page.envelope(len(found)),
            "items": [self._wire.search_result(video) for video in page.items],
        }

    def videos(self, params: Params) -> Json:
        """`videos.list` by id, or the `mostPopular` chart. Unknown ids are left out without a word, as there."""
        parts = _parts(params)
        if chart := _one(params, "chart"):
            if chart != "mostPopular":
                raise _bad("invalidChart", f"Invalid value for the parameter chart: {chart}", "chart")
            served = CHARTS.get(_one(params, "videoCategoryId") or "")
            if served is None:
                raise _bad(
                    "videoChartNotFound", "The requested video chart is not supported or is not available.", "chart"
                )
            found = _most_viewed(video for video in self._catalogue.videos.values() if _category(video) in served)
            page = _page(params, found[:200])
            envelope = page.envelope(len(found[:200]))
            videos = page.items
        else:
            videos = _known(_ids(params, "id, chart, myRating"), self._catalogue.videos)
            envelope = _whole(len(videos))
        items = [self._wire.video(video, parts) for video in videos]
        return {"kind": "youtube#videoListResponse", **envelope, "items": items}

    def channels(self, params: Params) -> Json:
        """`channels.list` by id. With no channel found the answer has no `items` at all, as there."""
        parts = _parts(params)
        channels = _known(_ids(params, "id, forHandle, forUsername, mine"), self._catalogue.channels)
        answer: Json = {"kind": "youtube#channelListResponse", **_whole(len(channels))}
        return answer | ({"items": [self._wire.channel(channel, parts) for channel in channels]} if channels else {})

    def playlist_items(self, params: Params) -> Json:
        """`playlistItems.list` of a channel's uploads, newest first."""
        parts = _parts(params)
        playlist = _one(params, "playlistId")
        if not playlist:
            raise _bad("missingRequiredParameter", "No filter selected. Expected one of: id, playlistId", "parameters.")
        channel = self._catalogue.channels.get("UC" + playlist[2:]) if playlist.startswith("UU") else None
        if channel is None:
            raise ApiError(
                404,
                "playlistNotFound",
                "The playlist identified with the request's <code>playlistId</code> parameter cannot be found.",
                "youtube.playlistItem",
                "playlistId",
            )
        page = _page(params, channel.videos)
        return {
            "kind": "youtube#playlistItemListResponse",
            **page.envelope(len(channel.videos)),
            "items": [
                self._wire.playlist_item(video, page.start + position, parts)
                for position, video in enumerate(page.items)
            ],
        }

    def video_categories(self, params: Params) -> Json:
        """`videoCategories.list` by id or of a region (every region has the same here)."""
        _parts(params)
        if _one(params, "regionCode"):
            ids = list(CATEGORIES)
        else:
            ids = [wanted for wanted in _ids(params, "id, regionCode") if wanted in CATEGORIES]
        return {"kind": "youtube#videoCategoryListResponse", "items": [category(known) for known in ids]}


@dataclass(frozen=True)
class _Page(Generic[_Item]):
    """A stretch of a result, from `start` on, as long as the caller asked for."""

    items: Sequence[_Item]
    start: int
    size: int
    more: bool

    def envelope(self, total: int) -> Json:
        answer: Json = {}
        if self.more:
            answer["nextPageToken"] = _token(self.start + self.size)
        if self.start:
            answer["prevPageToken"] = _token(max(0, self.start - self.size))
        return answer | {"pageInfo": {"totalResults": total, "resultsPerPage": self.size}}


def _page(params: Params, found: Sequence[_Item]) -> _Page[_Item]:
    size = _one(params, "maxResults") or "5"
    if not size.isascii() or not size.isdigit() or int(size) > _MOST:
        message = f"Invalid value '{size}'. Values must be within the range: [0, {_MOST}]"
        raise _bad("invalidParameter", message, "maxResults")
    token = _one(params, "pageToken")
    start = _start(token) if token else 0
    end = start + int(size)
    return _Page(found[start:end], start, int(size), more=end < len(found) and int(size) > 0)


def _token(start: int) -> str:
    return base64.urlsafe_b64encode(f"at:{start}".encode()).decode().rstrip("=")


def _start(token: str) -> int:
    try:
        text = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode("ascii")
        if text.startswith("at:") and text[3:].isdigit():
            return int(text[3:])
    except (binascii.Error, ValueError):
        pass
    raise _bad("invalidPageToken", "The request specifies an invalid page token.", "pageToken")


def _whole(count: int) -> Json:
    return {"pageInfo": {"totalResults": count, "resultsPerPage": count}}


def _list(params: Params, name: str) -> list[str]:
    """A list comes as one value with commas, as a repeated parameter, or as a mixture."""
    return [part.strip() for value in params.get(name, ()) for part in value.split(",") if part.strip()]


def _one(params: Params, name: str) -> str | None:
    values = params.get(name, ())
    return values[-1] if values else None


def _parts(params: Params) -> list[str]:
    parts = _list(params, "part")
    if not parts:
        raise _bad("missingRequiredParameter", "Required parameter: part", "part")
    return parts


def _ids(params: Params, filters: str) -> list[str]:
    ids = _list(params, "id")
    if not ids:
        message = f"No filter selected. Expected one of: {filters}"
        raise _bad("missingRequiredParameter", message, "parameters.")
    if len(ids) > _MOST:
        raise _bad("invalidFilters", "The request specifies an invalid filter parameter.", "id")
    return ids


def _known(ids: Iterable[str], of: Mapping[str, _Item]) -> list[_Item]:
    return [of[wanted] for wanted in dict.fromkeys(ids) if wanted in of]


def _time(params: Params, name: str) -> datetime | None:
    text = _one(params, name)
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise _bad("invalidParameter", f"Invalid value for the parameter {name}: {text}", name) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _category(video: CatalogueVideo) -> str:
    return str(Niche(video.niche).category_id)


def _most_viewed(videos: Iterable[CatalogueVideo]) -> list[CatalogueVideo]:
    return sorted(videos, key=lambda video: (-video.views, video.video_id))


def _bad(reason: str, message: str, location: str) -> ApiError:
    return ApiError(400, reason, message, "youtube.parameter", location)
