"""Catalogues that are kept in memory, and the function that reads a catalogue from a folder."""

import base64
import csv
import hashlib
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from demo.catalogues.source import CATEGORY_OF, CatalogueChannel, CatalogueVideo, Query, SearchResult, Source
from thumblab_core.errors import LabError


class Catalogue(Source):
    """A catalogue that is kept in memory. The dictionaries `videos` and `channels` contain its videos and channels by
    id.

    Args:
        videos: all videos, with distinct ids.
        observed_at: the time at which the views were counted (UTC).
    """

    def __init__(self, videos: Iterable[CatalogueVideo], observed_at: datetime) -> None:
        self.observed_at = observed_at
        self.videos: dict[str, CatalogueVideo] = {video.video_id: video for video in videos}
        videos_by_channel: defaultdict[str, list[CatalogueVideo]] = defaultdict(list)
        for video in self.videos.values():
            videos_by_channel[video.channel_id].append(video)
        self.channels: dict[str, CatalogueChannel] = {}
        self._handles: dict[str, str] = {}
        for channel_id, group in videos_by_channel.items():
            title = group[0].channel_title
            handle = "".join(letter for letter in title.casefold() if letter.isalnum())
            if not handle or handle in self._handles:
                handle = f"{handle}-{channel_id[2:8].lower()}"
            self._handles[handle] = channel_id
            # Round the number of subscribers to three significant digits, as YouTube does.
            subscribers = int(float(f"{sum(video.views for video in group) / 20:.2e}"))
            newest = tuple(newest_first(group))
            self.channels[channel_id] = CatalogueChannel(channel_id, title, group[0].niche, newest, handle, subscribers)

    @property
    def video_count(self) -> int:
        return len(self.videos)

    @property
    def channel_count(self) -> int:
        return len(self.channels)

    def video(self, video_id: str) -> CatalogueVideo | None:
        return self.videos.get(video_id)

    def channel(self, channel_id: str) -> CatalogueChannel | None:
        return self.channels.get(channel_id)

    def channel_by_handle(self, handle: str) -> CatalogueChannel | None:
        return self.channels.get(self._handles.get(handle, ""))

    def search(self, query: Query, now: datetime) -> SearchResult:
        matches = [
            video
            for video in self.videos.values()
            if query.channel_id in (None, video.channel_id)
            and (query.categories is None or CATEGORY_OF[video.niche] in query.categories)
            and (query.after is None or video.published_at >= query.after)
            and (query.before is None or video.published_at < query.before)
        ]
        if query.order == "date":
            matches = newest_first(matches)
        else:
            matches.sort(key=lambda video: (-self.views(video, now), video.video_id))
        return SearchResult(matches, len(matches))


class FolderCatalogue(Catalogue):
    """A catalogue from a folder. A picture is read only when it is requested.

    Args:
        videos: all videos, with distinct ids.
        observed_at: the time at which the views were counted (UTC).
        images: the path of each picture, and its width and height in pixels, by video id.
        skipped: the number of rows that were left out. The reasons are unreadable fields, an unknown niche, a repeated
            id, and a missing or unreadable picture.
    """

    def __init__(
        self,
        videos: Iterable[CatalogueVideo],
        observed_at: datetime,
        images: dict[str, tuple[Path, tuple[int, int]]],
        skipped: int,
    ) -> None:
        super().__init__(videos, observed_at)
        self._images = images
        self.skipped = skipped

    def image(self, video_id: str) -> bytes:
        return self._images[video_id][0].read_bytes()

    def image_size(self, video_id: str) -> tuple[int, int]:
        return self._images[video_id][1]


def newest_first(videos: Iterable[CatalogueVideo]) -> list[CatalogueVideo]:
    """Return videos sorted by publication time, the latest first. Videos with the same publication time are sorted by
    id.
    """
    return sorted(videos, key=lambda video: (-video.published_at.timestamp(), video.video_id))


def channel_id_of(name: str) -> str:
    """Return a channel id in YouTube's format, `UC` and 22 URL-safe characters. The same name gives the same id."""
    digest = hashlib.sha256(f"channel:{name}".encode()).digest()
    return "UC" + base64.urlsafe_b64encode(digest).decode()[:22]


def read_catalogue(folder: Path) -> FolderCatalogue:
    """Read `videos.csv`, and the headers of the pictures that the table names.

    Invalid rows are skipped and counted. The `observed_at` of the catalogue is the latest `observed_at` of the valid
    rows. A publication date without a time means midnight UTC.

    Raises:
        LabError: `videos.csv` is missing or has no valid row.
    """
    table = folder / "videos.csv"
    if not table.is_file():
        raise LabError(
            f"There is no videos.csv in {folder}. Give a folder with videos.csv and the images that videos.csv lists."
        )
    videos: dict[str, CatalogueVideo] = {}
    images: dict[str, tuple[Path, tuple[int, int]]] = {}
    observation_times: list[datetime] = []
    skipped = 0
    with table.open(newline="", encoding="utf-8-sig") as file:
        for row in csv.DictReader(file):
            try:
                video, observed_at = _video(row)
                if video.video_id in videos:
                    raise ValueError("repeated id")
                path = folder / row["image"]
                with Image.open(path) as picture:
                    if picture.format not in ("JPEG", "MPO"):
                        # Some phones write MPO files, which are JPEG files with a second picture. Such files are
                        # accepted too.
                        raise ValueError("not a JPEG")
                    images[video.video_id] = (path, picture.size)
            except (KeyError, TypeError, ValueError, OverflowError, OSError, UnidentifiedImageError, csv.Error):
                skipped += 1
                continue
            videos[video.video_id] = video
            observation_times.append(observed_at)
    if not videos:
        raise LabError(f"{table} has no valid row. A row needs a known niche, whole numbers, dates and a JPEG image.")
    return FolderCatalogue(videos.values(), max(observation_times), images, skipped)


def _video(row: dict[str, str]) -> tuple[CatalogueVideo, datetime]:
    views, duration_s = int(row["views"]), int(row["duration_s"])
    if views < 0 or duration_s < 0 or not row["video_id"] or not row["channel"]:
        raise ValueError("views and duration_s must be 0 or more, and video_id and channel must not be empty")
    if row["niche"] not in CATEGORY_OF:
        raise ValueError(f"the niche is unknown; use one of {', '.join(CATEGORY_OF)}")
    video = CatalogueVideo(
        video_id=row["video_id"],
        niche=row["niche"],
        channel_id=channel_id_of(row["channel"]),
        channel_title=row["channel"],
        title=row["title"],
        views=views,
        published_at=_utc(row["published_on"]),
        duration_s=duration_s,
        tags=tuple(tag.strip() for tag in (row["tags"] or "").split(",") if tag.strip()),
        # The table has no column for the aspect ratio of a video. The ratio cannot be taken from the thumbnail, because
        # a Short may have a wide thumbnail.
        aspect_ratio=None,
    )
    return video, _utc(row["observed_at"])


def _utc(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
