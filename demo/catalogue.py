"""What the emulator is fed with: channels, their videos and their pictures, seen at one moment."""

import base64
import csv
import hashlib
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from thumblab_core.errors import LabError
from thumblab_core.niches import Niche


@dataclass(frozen=True, slots=True)
class CatalogueVideo:
    """A video as it stood at the catalogue's `observed_at`; times are UTC, views lifetime totals."""

    video_id: str
    niche: str
    channel_id: str
    channel_title: str
    title: str
    views: int
    published_at: datetime
    duration_s: int
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CatalogueChannel:
    """A channel and its videos, newest first (equal times: by id, so that paging is stable)."""

    channel_id: str
    title: str
    niche: str
    videos: tuple[CatalogueVideo, ...]

    @property
    def uploads_playlist(self) -> str:
        """YouTube's rule: the uploads of channel `UC...` are the playlist `UU...`."""
        return "UU" + self.channel_id[2:]


class Catalogue(ABC):
    """Videos and channels by id, and the pictures on demand.

    Args:
        videos: every video, ids distinct.
        observed_at: the moment the view counts are of (UTC); the emulator's frozen clock.
    """

    def __init__(self, videos: Iterable[CatalogueVideo], observed_at: datetime) -> None:
        self.observed_at = observed_at
        self.videos: dict[str, CatalogueVideo] = {video.video_id: video for video in videos}
        of_channel: defaultdict[str, list[CatalogueVideo]] = defaultdict(list)
        for video in self.videos.values():
            of_channel[video.channel_id].append(video)
        self.channels: dict[str, CatalogueChannel] = {
            channel_id: CatalogueChannel(channel_id, group[0].channel_title, group[0].niche, tuple(newest_first(group)))
            for channel_id, group in of_channel.items()
        }

    @abstractmethod
    def image(self, video_id: str) -> bytes:
        """The picture as JPEG bytes; KeyError for an unknown id, OSError when it cannot be read any more."""

    @abstractmethod
    def image_size(self, video_id: str) -> tuple[int, int]:
        """Width and height of `image(video_id)` in pixels, without drawing or reading it."""


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
                    if picture.format != "JPEG":
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
    )
    return video, _utc(row["observed_at"])


def _utc(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
