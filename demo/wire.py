"""The JSON that the YouTube Data API v3 answers with: resources, lists and errors.

Shapes follow the public reference and recorded answers: counts are strings, lengths ISO 8601, a search result's title is
HTML-escaped while a video's is not.
"""

import base64
import hashlib
import html
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any

from demo.catalogue import Catalogue, CatalogueChannel, CatalogueVideo
from demo.pictures import offered_sizes
from thumblab_core.niches import Niche

Json = dict[str, Any]

CATEGORIES = {
    "1": "Film & Animation",
    "2": "Autos & Vehicles",
    "10": "Music",
    "15": "Pets & Animals",
    "17": "Sports",
    "19": "Travel & Events",
    "20": "Gaming",
    "22": "People & Blogs",
    "23": "Comedy",
    "24": "Entertainment",
    "25": "News & Politics",
    "26": "Howto & Style",
    "27": "Education",
    "28": "Science & Technology",
    "29": "Nonprofits & Activism",
    "30": "Movies",
}
"""YouTube's video categories by id; only Movies cannot be chosen by an uploader."""


class ApiError(Exception):
    """An answer in Google's error shape; `reason` is what clients decide by."""

    def __init__(self, status: int, reason: str, message: str, domain: str, location: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.domain = domain
        self.location = location

    def body(self) -> Json:
        entry: Json = {"message": str(self), "domain": self.domain, "reason": self.reason}
        if self.location is not None:
            entry |= {"location": self.location, "locationType": "parameter"}
        return {"error": {"code": self.status, "message": str(self), "errors": [entry]}}


class Wire:
    """Turns a catalogue's videos and channels into resources.

    Args:
        catalogue: what is described.
        base: where the pictures are, such as `http://127.0.0.1:8090`.
    """

    def __init__(self, catalogue: Catalogue, base: str) -> None:
        self._catalogue = catalogue
        self._base = base

    def video(self, video: CatalogueVideo, parts: Collection[str]) -> Json:
        """A `youtube#video` with those of the asked parts that the catalogue can fill."""
        return _resource("youtube#video", video.video_id, parts, _VIDEO_PARTS, video, self)

    def channel(self, channel: CatalogueChannel, parts: Collection[str]) -> Json:
        """A `youtube#channel`."""
        return _resource("youtube#channel", channel.channel_id, parts, _CHANNEL_PARTS, channel, self)

    def playlist_item(self, video: CatalogueVideo, position: int, parts: Collection[str]) -> Json:
        """A `youtube#playlistItem` of the channel's uploads."""
        playlist = "UU" + video.channel_id[2:]
        item_id = base64.b64encode(f"{playlist}.{video.video_id}".encode()).decode()
        item: Json = {"kind": "youtube#playlistItem", "etag": _etag(item_id), "id": item_id}
        if "snippet" in parts:
            item["snippet"] = {
                **self.snippet(video),
                "playlistId": playlist,
                "position": position,
                "resourceId": {"kind": "youtube#video", "videoId": video.video_id},
                "videoOwnerChannelTitle": video.channel_title,
                "videoOwnerChannelId": video.channel_id,
            }
        if "contentDetails" in parts:
            item["contentDetails"] = {"videoId": video.video_id, "videoPublishedAt": iso_time(video.published_at)}
        if "status" in parts:
            item["status"] = {"privacyStatus": "public"}
        return item

    def search_result(self, video: CatalogueVideo) -> Json:
        """A `youtube#searchResult`: the title escaped, the three small thumbnails only."""
        snippet = self.snippet(video)
        snippet["title"] = html.escape(video.title).replace("&#x27;", "&#39;")
        snippet["thumbnails"] = {size: snippet["thumbnails"][size] for size in ("default", "medium", "high")}
        return {
            "kind": "youtube#searchResult",
            "etag": _etag("search", video.video_id),
            "id": {"kind": "youtube#video", "videoId": video.video_id},
            "snippet": {**snippet, "liveBroadcastContent": "none", "publishTime": iso_time(video.published_at)},
        }

    def snippet(self, video: CatalogueVideo) -> Json:
        """What every description of a video has in common."""
        offered = offered_sizes(*self._catalogue.image_size(video.video_id))
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
                for key, size in offered.items()
            },
            "channelTitle": video.channel_title,
        }


def category(category_id: str) -> Json:
    """A `youtube#videoCategory`."""
    return {
        "kind": "youtube#videoCategory",
        "etag": _etag("category", category_id),
        "id": category_id,
        "snippet": {
            "title": CATEGORIES[category_id],
            "assignable": category_id != "30",
            "channelId": "UCBR8-60-B28hp2BmDPdntcQ",
        },
    }


def iso_time(moment: datetime) -> str:
    """As the API writes a moment: `2026-11-20T12:00:00Z`."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def iso_duration(seconds: int) -> str:
    """As the API writes a length: `PT1H2M3S`, units that are zero left out, `P0D` for none at all."""
    days, rest = divmod(seconds, 86_400)
    clock = [(rest // 3600, "H"), (rest % 3600 // 60, "M"), (rest % 60, "S")]
    time = "".join(f"{count}{unit}" for count, unit in clock if count)
    return "P" + (f"{days}D" if days or not time else "") + (f"T{time}" if time else "")


def _resource(
    kind: str, item_id: str, parts: Collection[str], known: dict[str, Callable[..., Json]], about: object, wire: Wire
) -> Json:
    item: Json = {"kind": kind, "etag": _etag(item_id, *sorted(parts)), "id": item_id}
    return item | {part: known[part](about, wire) for part in known if part in parts}


def _etag(*about: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256("/".join(about).encode()).digest()).decode()[:27]


def _video_snippet(video: CatalogueVideo, wire: Wire) -> Json:
    snippet = wire.snippet(video)
    if video.tags:
        snippet["tags"] = list(video.tags)
    return snippet | {
        "categoryId": str(Niche(video.niche).category_id),
        "liveBroadcastContent": "none",
        "localized": {"title": video.title, "description": ""},
    }


def _video_details(video: CatalogueVideo, _: Wire) -> Json:
    return {
        "duration": iso_duration(video.duration_s),
        "dimension": "2d",
        "definition": "hd",
        "caption": "false",
        "licensedContent": True,
        "contentRating": {},
        "projection": "rectangular",
    }


def _video_statistics(video: CatalogueVideo, _: Wire) -> Json:
    counts = {
        "viewCount": video.views,
        "likeCount": video.views // 25,
        "favoriteCount": 0,
        "commentCount": video.views // 400,
    }
    return {name: str(count) for name, count in counts.items()}


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
        "publishedAt": iso_time(channel.videos[-1].published_at),
        "thumbnails": {size: thumbnails[size] for size in ("default", "medium", "high")},
        "localized": {"title": channel.title, "description": ""},
    }


def _channel_details(channel: CatalogueChannel, _: Wire) -> Json:
    return {"relatedPlaylists": {"likes": "", "uploads": channel.uploads_playlist}}


def _channel_statistics(channel: CatalogueChannel, _: Wire) -> Json:
    views = sum(video.views for video in channel.videos)
    return {
        "viewCount": str(views),
        "subscriberCount": f"{int(float(f'{views / 20:.2e}'))}",  # YouTube shows three significant digits
        "hiddenSubscriberCount": False,
        "videoCount": str(len(channel.videos)),
    }


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
}
