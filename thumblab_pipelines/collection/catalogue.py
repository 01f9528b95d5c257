"""Import a catalogue: a folder with `videos.csv` and pictures. A bad row is named and skipped; it never stops the rest."""

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import select

from thumblab_core.database.tables import thumbnails
from thumblab_core.errors import LabError
from thumblab_core.images import MAX_BYTES, ImageError, decode
from thumblab_core.images.perceptual import perceptual_hash
from thumblab_pipelines.collection.catalogue_rows import Row, Table
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.progress import Progress, batches, silent
from thumblab_pipelines.tables.problems import RowProblem
from thumblab_pipelines.videos.records import save_channels, save_videos
from thumblab_pipelines.videos.versions import Shown, Sighting, Unchanged, record, still_shows

_BATCH = 128
_SUFFIXES = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP"}


@dataclass
class Imported:
    """What an import read. `problems` names each row that was skipped, or taken with a remark; `video_ids` are the good."""

    rows: int = 0
    good: int = 0
    new_videos: int = 0
    new_observations: int = 0
    video_ids: set[str] = field(default_factory=set)
    niches: set[str] = field(default_factory=set)
    problems: list[RowProblem] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def import_catalogue(lab: Lab, folder: Path, progress: Progress = silent) -> Imported:
    """Read `folder/videos.csv` and its pictures into the library. Reading it again changes nothing.

    One picture is in memory at a time. Raises `LabError` when the file is missing, lacks a required column, or when no row
    at all could be read.
    """
    table = Table(folder)
    rows = list(table.read())
    report = Imported(table.rows, problems=table.problems, remarks=table.remarks)
    for batch in batches(rows, _BATCH, "importing", progress):
        good = _look_at_pictures(lab, batch, report)
        _save(lab, good, report)
        report.good += len(good)
        report.video_ids.update(row.record.video_id for row, _ in good)
        report.niches.update(row.record.niche for row, _ in good)
    report.problems.sort(key=lambda problem: problem.line)
    if not report.good:
        first = f"; line {report.problems[0].line}: {report.problems[0].problem}" if report.problems else ""
        raise LabError(f"not one of the {report.rows} rows of {folder / 'videos.csv'} could be read{first}")
    return report


def _look_at_pictures(lab: Lab, rows: Sequence[Row], report: Imported) -> list[tuple[Row, Sighting | None]]:
    """Store the picture of each row, and what there is to say of it; a row without one is a problem."""
    ids = [row.record.video_id for row in rows]
    statement = select(thumbnails).where(thumbnails.c.video_id.in_(ids), thumbnails.c.sha256.is_not(None))
    with lab.engine.connect() as connection:
        known = {row.video_id: row for row in connection.execute(statement)}
    good: list[tuple[Row, Sighting | None]] = []
    for row in rows:
        try:
            good.append((row, _look_at(lab, row, known.get(row.record.video_id), report)))
        except ImageError as error:
            report.problems.append(_problem(row, f"image {row.image.name[:40]}: {error}"))
        except Exception as error:  # noqa: BLE001  a decoder fed hostile bytes raises almost anything
            said = getattr(error, "strerror", None) or f"{type(error).__name__}: {str(error)[:120]}"
            report.problems.append(_problem(row, f"image {row.image.name[:40]} cannot be read ({said})"))
    return good


def _look_at(lab: Lab, row: Row, known: Any, report: Imported) -> Sighting | None:
    """Store the picture, and say what it shows at the time it was observed; None where something was seen later."""
    data = read_picture(row.image)
    picture = decode(data)
    name, at = row.record.video_id, row.record.observed_at
    sighting: Sighting | None = None
    if known is not None and still_shows(lab.images, known.sha256, picture):
        sighting = Unchanged(name, at)
    elif known is None or at >= known.checked_at:
        phash = perceptual_hash(picture.pixels)
        sighting = Shown(name, at, picture.sha256, picture.width, picture.height, phash)
    lab.images.put(data)
    if _SUFFIXES.get(row.image.suffix.lower()) != picture.format:
        remark = f"image {row.image.name[:40]} is a {picture.format}; read as that"
        report.problems.append(RowProblem(row.line, name, remark, skipped=False))
    return sighting


def read_picture(path: Path) -> bytes:
    """The bytes of a file that may be a picture. Raises `ImageError` for what is no file or too large, before it is read."""
    # A pipe that nobody writes to would be waited for.
    with open(path, "rb", opener=_without_waiting) as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise ImageError("it cannot be read: it is no file but a pipe or a device")
        if found.st_size > MAX_BYTES:
            raise ImageError(
                f"the file has {found.st_size / 2**20:,.1f} MiB; at most {MAX_BYTES // 2**20} MiB are read"
            )
        return file.read(MAX_BYTES + 1)


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _problem(row: Row, text: str) -> RowProblem:
    return RowProblem(row.line, row.record.video_id, text)


def _save(lab: Lab, good: Sequence[tuple[Row, Sighting | None]], report: Imported) -> None:
    if not good:
        return
    with lab.engine.begin() as connection:
        save_channels(connection, list({row.channel.channel_id: row.channel for row, _ in good}.values()))
        saved = save_videos(connection, [row.record for row, _ in good])
        record(connection, [sighting for _, sighting in good if sighting is not None])
    report.new_videos += saved.new_videos
    report.new_observations += saved.new_observations
