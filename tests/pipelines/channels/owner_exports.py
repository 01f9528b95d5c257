"""Write exports of YouTube Studio for the videos of an emulated channel."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from demo.catalogues.source import CatalogueVideo
from demo.emulator import Emulator
from thumblab_pipelines.lab import Lab

COLUMNS = (
    "Content",
    "Video title",
    "Video publish time",
    "Duration",
    "Views",
    "Watch time (hours)",
    "Subscribers",
    "Impressions",
    "Impressions click-through rate (%)",
)
NAME = "Content 2015-01-01_2026-11-26 My channel.csv"


@dataclass(frozen=True)
class Owner:
    """The emulator with the videos of one channel, and the lab of the channel's owner."""

    lab: Lab
    emulator: Emulator
    videos: Sequence[CatalogueVideo]

    def rows(self, count: int | None = None) -> list[list[str]]:
        """Return the rows of an export with the channel's first `count` videos, or with all its videos."""
        return [self.row(video) for video in self.videos[:count]]

    def row(self, video: CatalogueVideo, **changed: str) -> list[str]:
        day = f"{video.published_at:%b} {video.published_at.day}, {video.published_at.year}"
        cells = (video.video_id, video.title, day, "600", str(video.views), "9.5", "3", str(10 * video.views), "4.5")
        return list((dict(zip(COLUMNS, cells, strict=True)) | changed).values())


def write(path: Path, rows: Sequence[Sequence[str]], columns: Sequence[str] = COLUMNS) -> Path:
    out = io.StringIO()
    csv.writer(out).writerows([columns, *rows])
    path.write_text(out.getvalue())
    return path
