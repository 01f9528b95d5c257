"""The endpoints of the YouTube Data API v3 that the lab calls, as methods of `Api`.

The answers describe the videos and channels of a `World`, which is a catalogue as the public sees it at the present
moment.
"""

from collections.abc import Callable

from demo import params as query_params
from demo.catalogues.source import Order, Query
from demo.categories import CATEGORIES, category
from demo.errors import ApiError, Json
from demo.params import Params, bad_request
from demo.player import Box
from demo.wire import Wire
from demo.world import World

SEARCH_DEPTH = 500
"""A client can page through at most this number of results, even if `totalResults` is larger."""

CHART_DEPTH = 200
"""The largest number of videos in a chart."""

CHARTS = {
    "": frozenset({"10", "1", "30", "20"}),
    "0": frozenset({"10", "1", "30", "20"}),
    "10": frozenset({"10"}),
    "1": frozenset({"1"}),
    "30": frozenset({"30"}),
    "20": frozenset({"20"}),
}
"""The categories of the videos in the `mostPopular` chart, by the category that the client asks for.

Since July 2025 YouTube has this chart only for music, movies and gaming. Without a category, the chart mixes the three
categories.
"""

ORDERS: dict[str, Order] = {"viewCount": "viewCount", "relevance": "relevance", "date": "date"}


class Api:
    """The endpoints of the API, each as a method.

    A method raises `ApiError` if the real service would answer with an error.

    Args:
        world: the videos and channels.
        wire: the writer that turns videos and channels into JSON resources.
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
        """Answer `search.list`, but search only for videos.

        The parameters order, channelId, videoCategoryId, publishedAfter, publishedBefore and q have an effect. A video
        that was published exactly at publishedAfter is a result.

        `regionCode` and `relevanceLanguage` are validated but have no effect. `regionCode` has no effect because every
        video is available in every region. `relevanceLanguage` has no effect because the real service also returns
        videos in other languages.
        """
        query_params.parts(params)
        category_id = query_params.text(params, "videoCategoryId")
        if category_id and query_params.text(params, "type") != "video":
            raise bad_request("invalidSearchFilter", "A video filter needs type=video.", "type")
        order = query_params.text(params, "order") or "relevance"
        if order not in ORDERS:
            raise bad_request("invalidParameter", f"Invalid value for the parameter order: {order}", "order")
        region = query_params.region_or_language(params, "regionCode") or "US"
        query_params.region_or_language(params, "relevanceLanguage")
        query = Query(
            ORDERS[order],
            query_params.text(params, "channelId") or None,
            frozenset({category_id}) if category_id else None,
            query_params.moment(params, "publishedAfter"),
            query_params.moment(params, "publishedBefore"),
        )
        page = query_params.page(params)
        result = self._world.search(query, query_params.text(params, "q"))
        reachable = result.videos[:SEARCH_DEPTH]
        return {
            "kind": "youtube#searchListResponse",
            "regionCode": region,
            **page.envelope(result.total, len(reachable)),
            "items": [self._wire.search_result(video) for video in reachable[page.start : page.stop]],
        }

    def videos(self, params: Params) -> Json:
        """Answer `videos.list` by id, or with the `mostPopular` chart. As on YouTube, unknown ids are left out.

        The parameters `maxWidth` and `maxHeight` limit the size of the embedded player, in pixels.
        """
        parts = query_params.parts(params)
        box = Box(query_params.player_side(params, "maxWidth"), query_params.player_side(params, "maxHeight"))
        if chart := query_params.text(params, "chart"):
            if chart != "mostPopular":
                raise bad_request("invalidChart", f"Invalid value for the parameter chart: {chart}", "chart")
            categories = CHARTS.get(query_params.text(params, "videoCategoryId") or "")
            if categories is None:
                raise bad_request(
                    "videoChartNotFound", "The requested video chart is not supported or is not available.", "chart"
                )
            page = query_params.page(params)
            chart_videos = self._world.search(Query("viewCount", categories=categories)).videos[:CHART_DEPTH]
            envelope = page.envelope(len(chart_videos))
            videos = chart_videos[page.start : page.stop]
        else:
            videos = self._world.videos(query_params.ids(params, "id, chart, myRating"))
            envelope = query_params.single_page(len(videos))
        items = [self._wire.video(video, parts, box) for video in videos]
        return {"kind": "youtube#videoListResponse", **envelope, "items": items}

    def batch_get_stats(self, params: Params) -> Json:
        """Answer `videos.batchGetStats` for the given video ids. Unknown ids are left out."""
        parts = query_params.parts(params)
        videos = self._world.videos(query_params.ids(params, "id"))
        return {
            "kind": "youtube#batchGetStatsResponse",
            "items": [self._wire.video_stats(video, parts) for video in videos],
        }

    def video_trainability(self, params: Params) -> Json:
        """Answer `videoTrainability.get` for one id. The answer says who may train models on the video."""
        video_id = query_params.text(params, "id")
        if not video_id:
            raise bad_request("missingRequiredParameter", "Required parameter: id", "id")
        video = self._world.video(video_id)
        if video is None:
            raise ApiError(404, "videoNotFound", "The video cannot be found.", "youtube.video", "id")
        return {"kind": "youtube#videoTrainability", "videoId": video.video_id, "permitted": list(video.trainable)}

    def channels(self, params: Params) -> Json:
        """Answer `channels.list` by id or by handle. As on YouTube, an answer without channels has no key `items`."""
        parts = query_params.parts(params)
        if handle := query_params.text(params, "forHandle"):
            channels = [self._world.channel_by_handle(handle)]
        else:
            channel_ids = query_params.ids(params, "id, forHandle, forUsername, mine")
            channels = [self._world.channel(channel_id) for channel_id in dict.fromkeys(channel_ids)]
        items = [self._wire.channel(channel, parts) for channel in channels if channel is not None]
        answer: Json = {"kind": "youtube#channelListResponse", **query_params.single_page(len(items))}
        return answer | ({"items": items} if items else {})

    def playlist_items(self, params: Params) -> Json:
        """Answer `playlistItems.list` for the uploads of a channel, newest first."""
        parts = query_params.parts(params)
        playlist = query_params.text(params, "playlistId")
        if not playlist:
            raise bad_request(
                "missingRequiredParameter", "No filter selected. Expected one of: id, playlistId", "parameters."
            )
        channel = self._world.channel("UC" + playlist[2:]) if playlist.startswith("UU") else None
        if channel is None:
            raise ApiError(
                404,
                "playlistNotFound",
                "The playlist identified with the request's <code>playlistId</code> parameter cannot be found.",
                "youtube.playlistItem",
                "playlistId",
            )
        page = query_params.page(params)
        videos = self._world.uploads(channel, page.start, page.stop)
        return {
            "kind": "youtube#playlistItemListResponse",
            **page.envelope(self._world.upload_count(channel)),
            "items": [
                self._wire.playlist_item(video, position, parts) for position, video in enumerate(videos, page.start)
            ],
        }

    def video_categories(self, params: Params) -> Json:
        """Answer `videoCategories.list` by id or by region. All regions have the same categories."""
        query_params.parts(params)
        if query_params.text(params, "regionCode"):
            category_ids = list(CATEGORIES)
        else:
            requested = query_params.ids(params, "id, regionCode")
            category_ids = [category_id for category_id in requested if category_id in CATEGORIES]
        return {
            "kind": "youtube#videoCategoryListResponse",
            "items": [category(category_id) for category_id in category_ids],
        }
