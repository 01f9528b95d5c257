"""Helpers that write exports of YouTube Studio for tests, and read the rows that the lab has stored from exports."""

import csv
import io
import zipfile
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from sqlalchemy import select

from thumblab_core.database.tables import video_reach
from thumblab_pipelines.lab import Lab

COLUMNS = ("Content", "Video title", "Video publish time", "Impressions", "Impressions click-through rate (%)")
DAY = date(2026, 3, 1)


def ids(count: int) -> list[str]:
    """Return `count` video ids."""
    return [f"video_{n:05d}" for n in range(count)]


def row(video_id: str, impressions: str = "1000", rate: str = "5.25", title: str = "A title") -> list[str]:
    """Return the cells of a row, for the columns in `COLUMNS`."""
    return [video_id, title, "2026-01-01", impressions, rate]


def csv_text(rows: Sequence[Sequence[str]], columns: Sequence[str] = COLUMNS) -> str:
    """Return a CSV text with the header `columns`, a row of totals, and `rows`.

    The last two columns must be the impressions and the click-through rate.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerow(["Total", *[""] * (len(columns) - 3), "999", "4.2"])
    writer.writerows(rows)
    return out.getvalue()


def zipped(path: Path, **files: bytes) -> Path:
    """Write a .zip file to `path`, and return `path`. `files` has the content of each file in the .zip by its name."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def stored(lab: Lab) -> dict[str, Any]:
    """Return the stored rows of exports by video id. Check that each video has at most one row."""
    with lab.engine.connect() as connection:
        rows = connection.execute(select(video_reach).where(video_reach.c.source == "studio")).all()
    assert len({row.video_id for row in rows}) == len(rows), "a video has two rows from exports"
    return {row.video_id: row for row in rows}
