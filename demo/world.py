"""The state of a catalogue at the time of the clock. The API shows this state. Videos may be removed, hidden or
changed.
"""

import dataclasses
import hashlib
import io
import itertools
import math
import threading
from bisect import insort
from collections.abc import Iterable
from datetime import datetime

from PIL import Image

from demo.catalogues.source import CatalogueChannel, CatalogueVideo, Query, SearchResult, Source
from demo.clock import Clock


@dataclasses.dataclass(frozen=True)
class _Thumbnail:
    """A new picture of a video, which replaces the picture that the video has in the catalogue.

    `size` is the width and height in pixels, and `since` is the time of the change. From then on, the video gains
    exp(`effect`) times the views per hour that it would gain with the picture in the catalogue.
    """

    jpeg: bytes
    size: tuple[int, int]
    since: datetime
    effect: float


class World:
    """A catalogue together with a clock and the changes to its videos. Every query returns the present state.

    The methods that change a video or a channel raise KeyError for an unknown id.

    Args:
        source: the catalogue with the videos as they were observed.
        clock: the clock that gives the present time.
    """

    def __init__(self, source: Source, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self._removed: set[str] = set()
        self._removed_at: dict[str, list[int]] = {}
        """For each channel, the sorted positions of its removed videos in its uploads."""
        self._private: dict[str, set[str]] = {}
        """For each channel, the ids of its private videos."""
        self._closed: set[str] = set()
        self._titles: dict[str, str] = {}
        self._thumbnails: dict[str, list[_Thumbnail]] = {}
        """The pictures that replaced the picture of a video, in the order of time. The last picture is shown."""
        self._views_changed = False
        """Whether a new picture has changed how fast its video gains views.

        If so, the catalogue no longer sorts videos correctly by views.
        """
        self._lock = threading.Lock()

    def remove(self, video_id: str) -> None:
        """Delete a video. From now on, no answer of the API contains it."""
        video = self._existing(video_id)
        channel = self._source.channel(video.channel_id)
        assert channel is not None
        with self._lock:
            if video_id not in self._removed:
                self._removed.add(video_id)
                self._private.get(video.channel_id, set()).discard(video_id)
                insort(self._removed_at.setdefault(video.channel_id, []), channel.videos.index(video))

    def make_private(self, video_id: str) -> None:
        """Hide a video everywhere except in the uploads of its channel.

        There it is shown as a private video.
        """
        video = self._existing(video_id)
        with self._lock:
            if video_id not in self._removed:
                self._private.setdefault(video.channel_id, set()).add(video_id)

    def close_channel(self, channel_id: str) -> None:
        """Delete a channel with its uploads and its videos."""
        if self._source.channel(channel_id) is None:
            raise KeyError(channel_id)
        with self._lock:
            self._closed.add(channel_id)

    def change_thumbnail(self, video_id: str, jpeg: bytes) -> None:
        """Replace the picture of a video. Raise OSError if the bytes are not a readable picture.

        If the catalogue knows the effect of the picture on views, the video's views per hour change from now on.
        """
        self._replace(video_id, jpeg, self._clock.now)

    def apply_changes(self, after: datetime) -> None:
        """Make the planned changes of pictures whose time is after `after`, but not after the present time."""
        for change in self._source.picture_changes(after, self._clock.now):
            self._replace(change.video_id, change.image, change.at)

    def rename(self, video_id: str, title: str) -> None:
        """Change the title of a video."""
        self._existing(video_id)
        with self._lock:
            self._titles[video_id] = title

    def video(self, video_id: str) -> CatalogueVideo | None:
        """Return a video, or None if it is not public."""
        video = self._source.video(video_id)
        return None if video is None or not self._public(video) else self._current(video)

    def videos(self, ids: Iterable[str]) -> list[CatalogueVideo]:
        """Return the public videos with these ids. The video of a repeated id is returned only once."""
        return [video for video in map(self.video, dict.fromkeys(ids)) if video is not None]

    def channel(self, channel_id: str) -> CatalogueChannel | None:
        """Return a channel, or None if it is unknown or closed."""
        return None if channel_id in self._closed else self._source.channel(channel_id)

    def channel_by_handle(self, handle: str) -> CatalogueChannel | None:
        """Return the channel with a handle, or None if the channel is unknown or closed.

        The handle may be in upper or lower case, and with or without @.
        """
        channel = self._source.channel_by_handle(handle.removeprefix("@").casefold())
        return None if channel is None or channel.channel_id in self._closed else channel

    def uploads(self, channel: CatalogueChannel, start: int, stop: int) -> list[CatalogueVideo]:
        """Return the uploads of a channel, the newest first, from the position `start` to the position before `stop`.

        Private videos are included.
        """
        removed = list(self._removed_at.get(channel.channel_id, ()))
        if not removed:
            return [self._current(video) for video in channel.videos[start:stop]]
        uploads = []
        for position in range(start, min(stop, len(channel.videos) - len(removed))):
            # `removed` is sorted. Each removed upload that lies before a position shifts this position by one.
            for removed_position in removed:
                position += removed_position <= position
            uploads.append(self._current(channel.videos[position]))
        return uploads

    def upload_count(self, channel: CatalogueChannel) -> int:
        """Return the number of entries in the uploads playlist."""
        return len(channel.videos) - len(self._removed_at.get(channel.channel_id, ()))

    def public_count(self, channel: CatalogueChannel) -> int:
        """Return the number of public videos of a channel."""
        return self.upload_count(channel) - len(self._private.get(channel.channel_id, ()))

    def is_private(self, video: CatalogueVideo) -> bool:
        """Return whether a video was made private."""
        return video.video_id in self._private.get(video.channel_id, ())

    def views(self, video: CatalogueVideo) -> int:
        """Return the present view count of a video.

        While the video shows a new picture, it gains exp(`effect`) times the views that it would gain with its first
        picture. `effect` is the field of the shown picture's `_Thumbnail`.
        """
        now = self._clock.now
        changes = tuple(self._thumbnails.get(video.video_id, ()))
        if not changes:
            return self._source.views(video, now)
        moments = [*(change.since for change in changes), now]
        unchanged = [self._source.views(video, moment) for moment in moments]
        gains = (later - earlier for earlier, later in itertools.pairwise(unchanged))
        return round(
            unchanged[0] + sum(math.exp(change.effect) * gain for change, gain in zip(changes, gains, strict=True))
        )

    def channel_views(self, channel: CatalogueChannel) -> int:
        """Return the present view count of a channel."""
        now = self._clock.now
        views = self._source.channel_views(channel, now)
        for video_id in tuple(self._thumbnails):
            video = self._existing(video_id)
            if video.channel_id == channel.channel_id:
                views += self.views(video) - self._source.views(video, now)
        return views

    def search(self, query: Query, text: str | None = None) -> SearchResult:
        """Search the catalogue, and return only the videos that are public at the present time.

        If `text` is given, only videos whose title contains `text` are returned. In `text`, `|` separates alternatives.
        A title must contain one of the alternatives. Upper and lower case count as the same.
        """
        result = self._source.search(query, self._clock.now)
        public = [self._current(video) for video in result.videos if self._public(video)]
        hidden = len(result.videos) - len(public)
        if query.order != "date" and self._views_changed:
            public.sort(key=lambda video: (-self.views(video), video.video_id))
        if text:
            wanted = [part.strip() for part in text.casefold().split("|")]
            public = [video for video in public if any(part in video.title.casefold() for part in wanted)]
            return SearchResult(public, len(public))
        return SearchResult(public, result.total - hidden)

    def image(self, video_id: str) -> bytes:
        """Return the present picture of a video as JPEG bytes.

        Raises:
            KeyError: the video is not public.
            OSError: the picture cannot be read.
        """
        if self.video(video_id) is None:
            raise KeyError(video_id)
        changed = self._thumbnail(video_id)
        return self._source.image(video_id) if changed is None else changed.jpeg

    def image_size(self, video_id: str) -> tuple[int, int]:
        """Return the width and height of the present picture of a video in pixels."""
        changed = self._thumbnail(video_id)
        return self._source.image_size(video_id) if changed is None else changed.size

    def image_version(self, video: CatalogueVideo) -> tuple[str, datetime]:
        """Return a name for the present picture of a video, and the time at which the video got this picture.

        If the video gets a new picture, the name changes.
        """
        changed = self._thumbnail(video.video_id)
        if changed is None:
            return "first", video.published_at
        return hashlib.sha256(changed.jpeg).hexdigest(), changed.since

    def _thumbnail(self, video_id: str) -> _Thumbnail | None:
        """Return the latest picture that replaced a video's first picture, or None if the first picture was never
        replaced.
        """
        thumbnails = self._thumbnails.get(video_id)
        return thumbnails[-1] if thumbnails else None

    def _replace(self, video_id: str, jpeg: bytes, since: datetime) -> None:
        video = self._existing(video_id)
        with Image.open(io.BytesIO(jpeg)) as picture:
            size = picture.size
        effect = self._source.picture_effect(self._current(video), jpeg)
        with self._lock:
            self._thumbnails.setdefault(video_id, []).append(_Thumbnail(jpeg, size, since, effect))
            self._views_changed = self._views_changed or effect != 0

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
