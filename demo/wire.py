"""Turn videos and channels into the JSON resources of the YouTube Data API v3.

The formats follow YouTube's public reference and recorded answers. Counts are strings, and durations are in ISO 8601.
Titles are HTML-escaped in search results, but not in the resources of videos.
"""

import base64
import html
from collections.abc import Callable, Collection
from datetime import UTC, datetime

from demo.catalogues.source import CATEGORY_OF, CatalogueChannel, CatalogueVideo
from demo.errors import Json
from demo.etags import etag
from demo.pictures import offered_sizes
from demo.player import Box, player
from demo.world import World


class Wire:
    """A writer of videos and channels as JSON resources.

    Args:
        world: the videos and channels.
        base: the start of the addresses of pictures, such as `http://127.0.0.1:8090`.
    """

    def __init__(self, world: World, base: str) -> None:
        self.world = world
        self._base = base

    def video(self, video: CatalogueVideo, parts: Collection[str], box: Box) -> Json:
        """Return a `youtube#video` with the requested parts. Parts for which the catalogue has no data are left out."""
        item = _resource("youtube#video", video.video_id, parts, _VIDEO_PARTS, video, self)
        return item | ({"player": player(video, box)} if "player" in parts else {})

    def video_stats(self, video: CatalogueVideo, parts: Collection[str]) -> Json:
        """Return a `youtube#videoStats` with the requested parts.

        Durations in this resource have the format of `google.protobuf.Duration`, such as `61s`.
        """
        item = _resource("youtube#videoStats", video.video_id, parts, {}, video, self)
        if "snippet" in parts:
            item["snippet"] = {"publishTime": iso_time(video.published_at)}
        if "contentDetails" in parts:
            item["contentDetails"] = {
                "duration": f"{_duration_s(video)}s",
                "durationMillis": str(_duration_s(video) * 1000),
            }
        if "statistics" in parts:
            item["statistics"] = _counts(video, self)
        return item

    def channel(self, channel: CatalogueChannel, parts: Collection[str]) -> Json:
        """Return a `youtube#channel` with the requested parts."""
        return _resource("youtube#channel", channel.channel_id, parts, _CHANNEL_PARTS, channel, self)

    def playlist_item(self, video: CatalogueVideo, position: int, parts: Collection[str]) -> Json:
        """Return a `youtube#playlistItem` for a video in the uploads of its channel, with the requested parts.

        The item of a private video contains neither the title of the video nor `videoPublishedAt`.
        """
        playlist = "UU" + video.channel_id[2:]
        private = self.world.is_private(video)
        item_id = base64.b64encode(f"{playlist}.{video.video_id}".encode()).decode()
        item: Json = {"kind": "youtube#playlistItem", "etag": etag(item_id), "id": item_id}
        if "snippet" in parts:
            item["snippet"] = {
                **(self._private_snippet(video) if private else self.snippet(video)),
                "playlistId": playlist,
                "position": position,
                "resourceId": {"kind": "youtube#video", "videoId": video.video_id},
            }
            if not private:
                item["snippet"]["videoOwnerChannelTitle"] = video.channel_title
                item["snippet"]["videoOwnerChannelId"] = video.channel_id
        if "contentDetails" in parts:
            item["contentDetails"] = {"videoId": video.video_id}
            if not private:
                item["contentDetails"]["videoPublishedAt"] = iso_time(video.published_at)
        if "status" in parts:
            item["status"] = {"privacyStatus": "private" if private else "public"}
        return item

    def search_result(self, video: CatalogueVideo) -> Json:
        """Return a `youtube#searchResult`.

        The titles in the result are HTML-escaped. The result lists only the three smallest thumbnails of the video.
        """
        snippet = self.snippet(video)
        for name in ("title", "channelTitle"):
            snippet[name] = html.escape(snippet[name]).replace("&#x27;", "&#39;")
        snippet["thumbnails"] = {size: snippet["thumbnails"][size] for size in ("default", "medium", "high")}
        return {
            "kind": "youtube#searchResult",
            "etag": etag("search", video.video_id),
            "id": {"kind": "youtube#video", "videoId": video.video_id},
            "snippet": {
                **snippet,
                "liveBroadcastContent": video.broadcast,
                "publishTime": iso_time(video.published_at),
            },
        }

    def snippet(self, video: CatalogueVideo) -> Json:
        """Return the part `snippet` of a video, with only the fields that every kind of resource has."""
        sizes = offered_sizes(*self.world.image_size(video.video_id))
        return {
            "publishedAt": iso_time(video.published_at),
            "channelId": video.channel_id,
            "title": video.title,
            "description": "",
            "thumbnails": {
                key: {
                    "url": f"{self._base}/vi/{video.video_id}/{size.file}",
                    "width": size.width,
                    "height": size.height,
                }
                for key, size in sizes.items()
            },
            "channelTitle": video.channel_title,
        }

    @staticmethod
    def _private_snippet(video: CatalogueVideo) -> Json:
        return {
            "publishedAt": iso_time(video.published_at),
            "channelId": video.channel_id,
            "title": "Private video",
            "description": "This video is private.",
            "thumbnails": {},
            "channelTitle": video.channel_title,
        }


def iso_time(moment: datetime) -> str:
    """Return a time in the format of the API, such as `2026-11-20T12:00:00Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def iso_duration(seconds: int) -> str:
    """Return a duration in the format of the API, such as `PT1H2M3S`. Units that are zero are left out.

    The result for 0 seconds is `P0D`.
    """
    days, rest = divmod(seconds, 86_400)
    units = [(rest // 3600, "H"), (rest % 3600 // 60, "M"), (rest % 60, "S")]
    time = "".join(f"{count}{unit}" for count, unit in units if count)
    return "P" + (f"{days}D" if days or not time else "") + (f"T{time}" if time else "")


def _resource(
    kind: str,
    item_id: str,
    parts: Collection[str],
    writers: dict[str, Callable[..., Json]],
    subject: object,
    wire: Wire,
) -> Json:
    """Return a resource with the requested parts. `writers` maps each part to the function that writes it.

    A requested part that is not in `writers` is left out.
    """
    item: Json = {"kind": kind, "etag": etag(item_id, *sorted(parts)), "id": item_id}
    return item | {part: writers[part](subject, wire) for part in writers if part in parts}


def _duration_s(video: CatalogueVideo) -> int:
    """Return the duration in seconds. A live or upcoming video has the duration 0."""
    return video.duration_s if video.broadcast == "none" else 0


def _counts(video: CatalogueVideo, wire: Wire) -> Json:
    views = wire.world.views(video)
    counts = {"viewCount": str(views), "likeCount": str(views // 25), "commentCount": str(views // 400)}
    if video.hidden_counts:
        del counts["viewCount"], counts["likeCount"]
    return counts


def _video_snippet(video: CatalogueVideo, wire: Wire) -> Json:
    snippet = wire.snippet(video)
    if video.tags:
        snippet["tags"] = list(video.tags)
    if video.language is not None:
        snippet |= {"defaultLanguage": video.language, "defaultAudioLanguage": video.language}
    return snippet | {
        "categoryId": CATEGORY_OF[video.niche],
        "liveBroadcastContent": video.broadcast,
        "localized": {"title": video.title, "description": ""},
    }


def _video_details(video: CatalogueVideo, _: Wire) -> Json:
    return {
        "duration": iso_duration(_duration_s(video)),
        "dimension": "2d",
        "definition": "hd",
        "caption": "false",
        "licensedContent": True,
        "contentRating": {},
        "projection": "rectangular",
    }


def _video_statistics(video: CatalogueVideo, wire: Wire) -> Json:
    return _counts(video, wire) | {"favoriteCount": "0"}


def _video_status(_: CatalogueVideo, __: Wire) -> Json:
    return {
        "uploadStatus": "processed",
        "privacyStatus": "public",
        "license": "youtube",
        "embeddable": True,
        "publicStatsViewable": True,
        "madeForKids": False,
    }


def _channel_snippet(channel: CatalogueChannel, wire: Wire) -> Json:
    thumbnails = wire.snippet(channel.videos[0])["thumbnails"]
    return {
        "title": channel.title,
        "description": "",
        "customUrl": f"@{channel.handle}",
        "publishedAt": iso_time(channel.videos[-1].published_at),
        "thumbnails": {size: thumbnails[size] for size in ("default", "medium", "high")},
        "localized": {"title": channel.title, "description": ""},
    }


def _channel_details(channel: CatalogueChannel, _: Wire) -> Json:
    return {"relatedPlaylists": {"likes": "", "uploads": channel.uploads_playlist}}


def _channel_statistics(channel: CatalogueChannel, wire: Wire) -> Json:
    return {
        "viewCount": str(wire.world.channel_views(channel)),
        "subscriberCount": str(channel.subscribers),
        "hiddenSubscriberCount": False,
        "videoCount": str(wire.world.public_count(channel)),
    }


def _channel_status(_: CatalogueChannel, __: Wire) -> Json:
    return {"privacyStatus": "public", "isLinked": True, "longUploadsStatus": "allowed", "madeForKids": False}


_VIDEO_PARTS: dict[str, Callable[..., Json]] = {
    "snippet": _video_snippet,
    "contentDetails": _video_details,
    "statistics": _video_statistics,
    "status": _video_status,
}
_CHANNEL_PARTS: dict[str, Callable[..., Json]] = {
    "snippet": _channel_snippet,
    "contentDetails": _channel_details,
    "statistics": _channel_statistics,
    "status": _channel_status,
}
