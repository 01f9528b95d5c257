"""The endpoints of the YouTube Data API v3 that the lab calls, answered from a world. No sockets here."""

from collections.abc import Callable

from demo import params as read
from demo.catalogues.source import Order, Query
from demo.categories import CATEGORIES, category
from demo.errors import ApiError, Json
from demo.params import Params, bad
from demo.player import Box
from demo.wire import Wire
from demo.world import World

SEARCH_DEPTH = 500
"""A search never reaches further than this many results, whatever `totalResults` says."""

CHART_DEPTH = 200

CHARTS = {
    "": frozenset({"10", "1", "30", "20"}),
    "0": frozenset({"10", "1", "30", "20"}),
    "10": frozenset({"10"}),
    "1": frozenset({"1"}),
    "30": frozenset({"30"}),
    "20": frozenset({"20"}),
}
"""Since July 2025 `mostPopular` serves music, movies and gaming; without a category it mixes these three."""

ORDERS: dict[str, Order] = {"viewCount": "viewCount", "relevance": "relevance", "date": "date"}


class Api:
    """Answers queries. Every method raises `ApiError` where the real service would send one.

    Args:
        world: what there is.
        wire: how it is described.
    """

    def __init__(self, world: World, wire: Wire) -> None:
        self._world = world
        self._wire = wire
        self.endpoints: dict[str, Callable[[Params], Json]] = {
            "search": self.search,
            "videos": self.videos,
            "videos:batchGetStats": self.batch_get_stats,
            "videoTrainability": self.video_trainability,
            "channels": self.channels,
            "playlistItems": self.playlist_items,
            "videoCategories": self.video_categories,
        }

    def search(self, params: Params) -> Json:
        """`search.list` over videos: order, channelId, videoCategoryId, publishedAfter (inclusive), publishedBefore, q.

        `regionCode` and `relevanceLanguage` are checked and change nothing: every video here may be seen everywhere, and
        the real service too returns other languages.
        """
        read.parts(params)
        category_id = read.one(params, "videoCategoryId")
        if category_id and read.one(params, "type") != "video":
            raise bad("invalidSearchFilter", "A video filter needs type=video.", "type")
        order = read.one(params, "order") or "relevance"
        if order not in ORDERS:
            raise bad("invalidParameter", f"Invalid value for the parameter order: {order}", "order")
        region = read.code(params, "regionCode") or "US"
        read.code(params, "relevanceLanguage")
        query = Query(
            ORDERS[order],
            read.one(params, "channelId") or None,
            frozenset({category_id}) if category_id else None,
            read.moment(params, "publishedAfter"),
            read.moment(params, "publishedBefore"),
        )
        page = read.page(params)
        found = self._world.search(query, read.one(params, "q"))
        reachable = found.videos[:SEARCH_DEPTH]
        return {
            "kind": "youtube#searchListResponse",
            "regionCode": region,
            **page.envelope(found.total, len(reachable)),
            "items": [self._wire.search_result(video) for video in reachable[page.start : page.stop]],
        }

    def videos(self, params: Params) -> Json:
        """`videos.list` by id, or the `mostPopular` chart. Unknown ids are left out without a word, as there.

        `maxWidth` and `maxHeight` give the part `player` its size, in pixels.
        """
        parts = read.parts(params)
        box = Box(read.number(params, "maxWidth"), read.number(params, "maxHeight"))
        if chart := read.one(params, "chart"):
            if chart != "mostPopular":
                raise bad("invalidChart", f"Invalid value for the parameter chart: {chart}", "chart")
            served = CHARTS.get(read.one(params, "videoCategoryId") or "")
            if served is None:
                raise bad(
                    "videoChartNotFound", "The requested video chart is not supported or is not available.", "chart"
                )
            page = read.page(params)
            charted = self._world.search(Query("viewCount", categories=served)).videos[:CHART_DEPTH]
            envelope = page.envelope(len(charted))
            videos = charted[page.start : page.stop]
        else:
            videos = self._world.videos(read.ids(params, "id, chart, myRating"))
            envelope = read.whole(len(videos))
        items = [self._wire.video(video, parts, box) for video in videos]
        return {"kind": "youtube#videoListResponse", **envelope, "items": items}

    def batch_get_stats(self, params: Params) -> Json:
        """`videos.batchGetStats` by id; unknown ids are left out."""
        parts = read.parts(params)
        videos = self._world.videos(read.ids(params, "id"))
        return {
            "kind": "youtube#batchGetStatsResponse",
            "items": [self._wire.video_stats(video, parts) for video in videos],
        }

    def video_trainability(self, params: Params) -> Json:
        """`videoTrainability.get` of one id: who may train on the video."""
        wanted = read.one(params, "id")
        if not wanted:
            raise bad("missingRequiredParameter", "Required parameter: id", "id")
        video = self._world.video(wanted)
        if video is None:
            raise ApiError(404, "videoNotFound", "The video cannot be found.", "youtube.video", "id")
        return {"kind": "youtube#videoTrainability", "videoId": video.video_id, "permitted": list(video.trainable)}

    def channels(self, params: Params) -> Json:
        """`channels.list` by id or by handle. With no channel found the answer has no `items` at all, as there."""
        parts = read.parts(params)
        if handle := read.one(params, "forHandle"):
            found = [self._world.channel_by_handle(handle)]
        else:
            wanted = read.ids(params, "id, forHandle, forUsername, mine")
            found = [self._world.channel(channel_id) for channel_id in dict.fromkeys(wanted)]
        items = [self._wire.channel(channel, parts) for channel in found if channel is not None]
        answer: Json = {"kind": "youtube#channelListResponse", **read.whole(len(items))}
        return answer | ({"items": items} if items else {})

    def playlist_items(self, params: Params) -> Json:
        """`playlistItems.list` of a channel's uploads, newest first."""
        parts = read.parts(params)
        playlist = read.one(params, "playlistId")
        if not playlist:
            raise bad("missingRequiredParameter", "No filter selected. Expected one of: id, playlistId", "parameters.")
        channel = self._world.channel("UC" + playlist[2:]) if playlist.startswith("UU") else None
        if channel is None:
            raise ApiError(
                404,
                "playlistNotFound",
                "The playlist identified with the request's <code>playlistId</code> parameter cannot be found.",
                "youtube.playlistItem",
                "playlistId",
            )
        page = read.page(params)
        videos = self._world.uploads(channel, page.start, page.stop)
        return {
            "kind": "youtube#playlistItemListResponse",
            **page.envelope(self._world.upload_count(channel)),
            "items": [
                self._wire.playlist_item(video, position, parts) for position, video in enumerate(videos, page.start)
            ],
        }

    def video_categories(self, params: Params) -> Json:
        """`videoCategories.list` by id or of a region (every region has the same here)."""
        read.parts(params)
        if read.one(params, "regionCode"):
            known = list(CATEGORIES)
        else:
            known = [wanted for wanted in read.ids(params, "id, regionCode") if wanted in CATEGORIES]
        return {"kind": "youtube#videoCategoryListResponse", "items": [category(found) for found in known]}
