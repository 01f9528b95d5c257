"""Catalogues held in memory: channels, their videos and their pictures, seen at one moment."""

import base64
import csv
import hashlib
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from demo.catalogues.source import CATEGORY_OF, CatalogueChannel, CatalogueVideo, Found, Query, Source
from thumblab_core.errors import LabError
from thumblab_core.niches import Niche


class Catalogue(Source):
    """A catalogue held in memory, its videos and channels in dictionaries by id.

    Args:
        videos: every video, ids distinct.
        observed_at: the moment the view counts are of (UTC).
    """

    def __init__(self, videos: Iterable[CatalogueVideo], observed_at: datetime) -> None:
        self.observed_at = observed_at
        self.videos: dict[str, CatalogueVideo] = {video.video_id: video for video in videos}
        of_channel: defaultdict[str, list[CatalogueVideo]] = defaultdict(list)
        for video in self.videos.values():
            of_channel[video.channel_id].append(video)
        self.channels: dict[str, CatalogueChannel] = {}
        self._handles: dict[str, str] = {}
        for channel_id, group in of_channel.items():
            title = group[0].channel_title
            handle = "".join(letter for letter in title.casefold() if letter.isalnum())
            if not handle or handle in self._handles:
                handle = f"{handle}-{channel_id[2:8].lower()}"
            self._handles[handle] = channel_id
            fans = int(float(f"{sum(video.views for video in group) / 20:.2e}"))  # three significant digits are public
            newest = tuple(newest_first(group))
            self.channels[channel_id] = CatalogueChannel(channel_id, title, group[0].niche, newest, handle, fans)

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

    def search(self, query: Query, now: datetime) -> Found:
        found = [
            video
            for video in self.videos.values()
            if query.channel_id in (None, video.channel_id)
            and (query.categories is None or CATEGORY_OF[video.niche] in query.categories)
            and (query.after is None or video.published_at >= query.after)
            and (query.before is None or video.published_at < query.before)
        ]
        if query.order == "date":
            found = newest_first(found)
        else:
            found.sort(key=lambda video: (-self.views(video, now), video.video_id))
        return Found(found, len(found))


class FolderCatalogue(Catalogue):
    """A catalogue on disk; pictures are read when asked for.

    `skipped` counts the rows that were left out: unreadable fields, an unknown niche, an id seen before, or no picture.
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
    """By publication time, latest first; ids decide ties."""
    return sorted(videos, key=lambda video: (-video.published_at.timestamp(), video.video_id))


def channel_id_of(name: str) -> str:
    """A YouTube-shaped channel id (`UC` and 22 URL-safe characters) that a name always gets again."""
    digest = hashlib.sha256(f"channel:{name}".encode()).digest()
    return "UC" + base64.urlsafe_b64encode(digest).decode()[:22]


def read_catalogue(folder: Path) -> FolderCatalogue:
    """Read `videos.csv` and the headers of the pictures it names.

    A row that cannot be read is skipped and counted. The clock is the latest `observed_at` of the rows that were read;
    a publication date without a time counts as its midnight, UTC.

    Raises:
        LabError: there is no `videos.csv`, or no row of it can be read.
    """
    table = folder / "videos.csv"
    if not table.is_file():
        raise LabError(f"There is no videos.csv in {folder}. Name a folder that holds videos.csv and its images.")
    videos: dict[str, CatalogueVideo] = {}
    images: dict[str, tuple[Path, tuple[int, int]]] = {}
    clocks: list[datetime] = []
    skipped = 0
    with table.open(newline="", encoding="utf-8-sig") as file:
        for row in csv.DictReader(file):
            try:
                video, observed_at = _video(row)
                if video.video_id in videos:
                    raise ValueError("seen before")
                path = folder / row["image"]
                with Image.open(path) as picture:
                    if picture.format not in ("JPEG", "MPO"):  # a JPEG with a second picture, as phones write
                        raise ValueError("not a JPEG")
                    images[video.video_id] = (path, picture.size)
            except (KeyError, TypeError, ValueError, OverflowError, OSError, UnidentifiedImageError, csv.Error):
                skipped += 1
                continue
            videos[video.video_id] = video
            clocks.append(observed_at)
    if not videos:
        raise LabError(f"No row of {table} can be read. It needs the columns of a catalogue and a JPEG for each row.")
    return FolderCatalogue(videos.values(), max(clocks), images, skipped)


def _video(row: dict[str, str]) -> tuple[CatalogueVideo, datetime]:
    views, duration_s = int(row["views"]), int(row["duration_s"])
    if views < 0 or duration_s < 0 or not row["video_id"] or not row["channel"]:
        raise ValueError("a count below zero or an empty name")
    video = CatalogueVideo(
        video_id=row["video_id"],
        niche=Niche(row["niche"]).value,
        channel_id=channel_id_of(row["channel"]),
        channel_title=row["channel"],
        title=row["title"],
        views=views,
        published_at=_utc(row["published_on"]),
        duration_s=duration_s,
        tags=tuple(tag.strip() for tag in (row["tags"] or "").split(",") if tag.strip()),
        aspect_ratio=None,  # no column tells it, and a wide thumbnail may well be a Short's
    )
    return video, _utc(row["observed_at"])


def _utc(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
