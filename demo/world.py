"""A catalogue as the public finds it now: views at the clock's moment, without what was removed, hidden or changed since."""

import dataclasses
import hashlib
import io
import threading
from bisect import insort
from collections.abc import Iterable
from datetime import datetime

from PIL import Image

from demo.catalogues.source import CatalogueChannel, CatalogueVideo, Found, Query, Source
from demo.clock import Clock


@dataclasses.dataclass(frozen=True)
class _Thumbnail:
    """A picture put in the place of the catalogue's, `size` in pixels."""

    jpeg: bytes
    size: tuple[int, int]
    since: datetime


class World:
    """A source, a clock, and what has happened to the videos. Every query reads the present state.

    Args:
        source: the videos as they were observed.
        clock: the present.
    """

    def __init__(self, source: Source, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self._removed: set[str] = set()
        self._removed_at: dict[str, list[int]] = {}  # by channel, the positions in its uploads, sorted
        self._private: dict[str, set[str]] = {}  # by channel
        self._closed: set[str] = set()
        self._titles: dict[str, str] = {}
        self._thumbnails: dict[str, _Thumbnail] = {}
        self._lock = threading.Lock()

    # what happens

    def remove(self, video_id: str) -> None:
        """As if it had never been."""
        video = self._existing(video_id)
        channel = self._source.channel(video.channel_id)
        assert channel is not None
        with self._lock:
            if video_id not in self._removed:
                self._removed.add(video_id)
                self._private.get(video.channel_id, set()).discard(video_id)
                insort(self._removed_at.setdefault(video.channel_id, []), channel.videos.index(video))

    def make_private(self, video_id: str) -> None:
        """Absent everywhere but from its channel's uploads, where it stands as a private video."""
        video = self._existing(video_id)
        with self._lock:
            if video_id not in self._removed:
                self._private.setdefault(video.channel_id, set()).add(video_id)

    def close_channel(self, channel_id: str) -> None:
        """The channel, its uploads and its videos are gone."""
        if self._source.channel(channel_id) is None:
            raise KeyError(channel_id)
        with self._lock:
            self._closed.add(channel_id)

    def change_thumbnail(self, video_id: str, jpeg: bytes) -> None:
        """Another picture at the same addresses; raises OSError when it cannot be read."""
        self._existing(video_id)
        with Image.open(io.BytesIO(jpeg)) as picture:
            size = picture.size
        with self._lock:
            self._thumbnails[video_id] = _Thumbnail(jpeg, size, self._clock.now)

    def rename(self, video_id: str, title: str) -> None:
        self._existing(video_id)
        with self._lock:
            self._titles[video_id] = title

    # what is found

    def video(self, video_id: str) -> CatalogueVideo | None:
        """None for one that the public does not see."""
        video = self._source.video(video_id)
        return None if video is None or not self._public(video) else self._current(video)

    def videos(self, ids: Iterable[str]) -> list[CatalogueVideo]:
        """Those of them that the public sees, each once."""
        return [video for video in map(self.video, dict.fromkeys(ids)) if video is not None]

    def channel(self, channel_id: str) -> CatalogueChannel | None:
        return None if channel_id in self._closed else self._source.channel(channel_id)

    def channel_by_handle(self, handle: str) -> CatalogueChannel | None:
        channel = self._source.channel_by_handle(handle.removeprefix("@").casefold())
        return None if channel is None or channel.channel_id in self._closed else channel

    def uploads(self, channel: CatalogueChannel, start: int, stop: int) -> list[CatalogueVideo]:
        """A stretch of a channel's uploads, newest first, the private ones (`is_private`) among them."""
        removed = list(self._removed_at.get(channel.channel_id, ()))
        if not removed:
            return [self._current(video) for video in channel.videos[start:stop]]
        found = []
        for position in range(start, min(stop, len(channel.videos) - len(removed))):
            for gone in removed:  # sorted, so each one passed shifts the rest by one
                position += gone <= position
            found.append(self._current(channel.videos[position]))
        return found

    def upload_count(self, channel: CatalogueChannel) -> int:
        """Entries in the uploads playlist."""
        return len(channel.videos) - len(self._removed_at.get(channel.channel_id, ()))

    def public_count(self, channel: CatalogueChannel) -> int:
        """Videos that the public sees."""
        return self.upload_count(channel) - len(self._private.get(channel.channel_id, ()))

    def is_private(self, video: CatalogueVideo) -> bool:
        return video.video_id in self._private.get(video.channel_id, ())

    def views(self, video: CatalogueVideo) -> int:
        return self._source.views(video, self._clock.now)

    def channel_views(self, channel: CatalogueChannel) -> int:
        return self._source.channel_views(channel, self._clock.now)

    def search(self, query: Query, text: str | None = None) -> Found:
        """What the source finds and the public sees; `text` must occur in the title, in any case."""
        found = self._source.search(query, self._clock.now)
        public = [self._current(video) for video in found.videos if self._public(video)]
        gone = len(found.videos) - len(public)
        if text:
            public = [video for video in public if text.casefold() in video.title.casefold()]
            return Found(public, len(public))
        return Found(public, found.total - gone)

    def image(self, video_id: str) -> bytes:
        """JPEG bytes; KeyError for a video that the public does not see, OSError for a picture that cannot be read."""
        if self.video(video_id) is None:
            raise KeyError(video_id)
        changed = self._thumbnails.get(video_id)
        return self._source.image(video_id) if changed is None else changed.jpeg

    def image_size(self, video_id: str) -> tuple[int, int]:
        changed = self._thumbnails.get(video_id)
        return self._source.image_size(video_id) if changed is None else changed.size

    def image_version(self, video: CatalogueVideo) -> tuple[str, datetime]:
        """A name that changes with the picture, and since when it is the picture."""
        changed = self._thumbnails.get(video.video_id)
        if changed is None:
            return "first", video.published_at
        return hashlib.sha256(changed.jpeg).hexdigest(), changed.since

    def _existing(self, video_id: str) -> CatalogueVideo:
        video = self._source.video(video_id)
        if video is None:
            raise KeyError(video_id)
        return video

    def _public(self, video: CatalogueVideo) -> bool:
        return (
            video.video_id not in self._removed and video.channel_id not in self._closed and not self.is_private(video)
        )

    def _current(self, video: CatalogueVideo) -> CatalogueVideo:
        title = self._titles.get(video.video_id)
        return video if title is None else dataclasses.replace(video, title=title)
