"""Import a catalogue, which is a folder with `videos.csv` and pictures.

A bad row is reported and skipped. All other rows are imported.
"""

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import select

from thumblab_core.database.tables import thumbnails
from thumblab_core.durable_files import NOT_WRITABLE
from thumblab_core.errors import LabError
from thumblab_core.images import MAX_BYTES, ImageError, decode
from thumblab_core.images.limits import SUFFIXES
from thumblab_core.images.perceptual import perceptual_hash
from thumblab_core.object_store.bucket import StoreAwayError
from thumblab_pipelines.collection.catalogue_rows import CatalogueTable, Row
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.progress import Progress, batches, silent
from thumblab_pipelines.tables.problems import RowProblem
from thumblab_pipelines.videos.records import save_channels, save_videos
from thumblab_pipelines.videos.versions import Shown, Sighting, Unchanged, record, still_shows

_BATCH = 128


@dataclass
class Imported:
    """The result of an import.

    `rows`: number of rows of the table `videos.csv`. `good`: number of imported rows. `problems`: an entry for each
    skipped row, and for each imported row with an error, such as an unreadable length of the video. `video_ids`,
    `niches`: ids and niches of the imported videos. `remarks`: sentences about the table as a whole.
    """

    rows: int = 0
    good: int = 0
    new_videos: int = 0
    new_observations: int = 0
    video_ids: set[str] = field(default_factory=set)
    niches: set[str] = field(default_factory=set)
    problems: list[RowProblem] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def import_catalogue(lab: Lab, folder: Path, progress: Progress = silent) -> Imported:
    """Import `folder/videos.csv` and its pictures into the library.

    A second import of the unchanged folder has no effect. At most one picture is in memory at a time. Raises `LabError`
    if the file is missing, lacks a required column, or has no row that can be read.
    """
    table = CatalogueTable(folder, lab.niches)
    rows = list(table.read())
    report = Imported(table.rows, problems=table.problems, remarks=table.remarks)
    without_length = sum(row.record.duration_s is None for row in rows)
    if without_length:
        report.remarks.append(
            f"{without_length} of {len(rows)} rows have no length of the video (duration_s). Such a video may be a Short, "
            "so no model is trained on it, and no adapter is fitted to it; fill in the column and import the folder again"
        )
    for batch in batches(rows, _BATCH, "importing", progress):
        good = _read_pictures(lab, batch, report)
        _save(lab, good, report)
        report.good += len(good)
        report.video_ids.update(row.record.video_id for row, _ in good)
        report.niches.update(row.record.niche for row, _ in good)
    report.problems.sort(key=lambda problem: problem.line)
    if not report.good:
        first = f"; line {report.problems[0].line}: {report.problems[0].problem}" if report.problems else ""
        raise LabError(f"none of the {report.rows} rows of {folder / 'videos.csv'} could be read{first}")
    return report


def _read_pictures(lab: Lab, rows: Sequence[Row], report: Imported) -> list[tuple[Row, Sighting | None]]:
    """Store the picture of each row. Return the rows whose picture could be read, each with a sighting or None.

    A sighting is a record of which picture the video showed at a moment. The sighting is None if the lab knows that the
    video showed another picture later. Each row whose picture could not be read becomes an entry of `report.problems`.
    """
    ids = [row.record.video_id for row in rows]
    statement = select(thumbnails).where(thumbnails.c.video_id.in_(ids), thumbnails.c.sha256.is_not(None))
    with lab.engine.connect() as connection:
        known = {row.video_id: row for row in connection.execute(statement)}
    good: list[tuple[Row, Sighting | None]] = []
    for row in rows:
        try:
            good.append((row, _read_picture_of(lab, row, known.get(row.record.video_id), report)))
        except ImageError as error:
            report.problems.append(_problem(row, f"image {row.image.name[:40]}: {error}"))
        except Exception as error:
            if isinstance(error, StoreAwayError) or (isinstance(error, OSError) and error.errno in NOT_WRITABLE):
                raise  # The image store is full, or cannot be reached or written. Every later row would fail too.
            reason = getattr(error, "strerror", None) or f"{type(error).__name__}: {str(error)[:120]}"
            report.problems.append(_problem(row, f"image {row.image.name[:40]} cannot be read ({reason})"))
    return good


def _read_picture_of(lab: Lab, row: Row, known: Any, report: Imported) -> Sighting | None:
    """Store the row's picture. Return the sighting to record: which picture the video showed when it was observed.

    Return None if the lab knows that the video showed another picture at a later time.
    """
    data = read_picture(row.image)
    picture = decode(data)
    video_id, at = row.record.video_id, row.record.observed_at
    sighting: Sighting | None = None
    if known is not None and still_shows(lab.images, known.sha256, picture):
        sighting = Unchanged(video_id, at)
    elif known is None or at >= known.checked_at:
        phash = perceptual_hash(picture.pixels)
        sighting = Shown(video_id, at, picture.sha256, picture.width, picture.height, phash)
    lab.images.put(data)
    if SUFFIXES.get(row.image.suffix.lower()) != picture.format:
        remark = f"image {row.image.name[:40]} is a {picture.format}; it was read as {picture.format}"
        report.problems.append(RowProblem(row.line, video_id, remark, skipped=False))
    return sighting


def read_picture(path: Path) -> bytes:
    """Return the bytes of a file.

    Raises `ImageError`, without reading the file, if it is not a regular file or is too large.
    """
    # The path may be a pipe. `_open_without_waiting` keeps the call from waiting until a process writes to the pipe.
    with open(path, "rb", opener=_open_without_waiting) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ImageError("it cannot be read, because it is a pipe or a device, not a file")
        if status.st_size > MAX_BYTES:
            raise ImageError(
                f"the file has {status.st_size / 2**20:,.1f} MiB; at most {MAX_BYTES // 2**20} MiB are read"
            )
        return file.read(MAX_BYTES + 1)


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _problem(row: Row, text: str) -> RowProblem:
    return RowProblem(row.line, row.record.video_id, text)


def _save(lab: Lab, good: Sequence[tuple[Row, Sighting | None]], report: Imported) -> None:
    """Save the channels, videos and sightings of the good rows in one transaction, and count the new videos and
    observations in `report`."""
    if not good:
        return
    with lab.engine.begin() as connection:
        save_channels(connection, list({row.channel.channel_id: row.channel for row, _ in good}.values()))
        saved = save_videos(connection, [row.record for row, _ in good])
        record(connection, [sighting for _, sighting in good if sighting is not None])
    report.new_videos += saved.new_videos
    report.new_observations += saved.new_observations
