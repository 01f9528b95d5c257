"""Import a catalogue: a folder with `videos.csv` and pictures. A bad row is named and skipped; it never stops the rest."""

import base64
import csv
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, select

from thumblab_core.database.tables import thumbnails
from thumblab_core.errors import LabError
from thumblab_core.images import FORMATS, ImageError, Picture, decode
from thumblab_core.niches import NICHES
from thumblab_core.perceptual import perceptual_hash
from thumblab_pipelines.steps.lab import Lab
from thumblab_pipelines.steps.progress import Progress, batches, silent
from thumblab_pipelines.steps.records import ChannelRecord, Saved, VideoRecord, save_channels, save_videos
from thumblab_pipelines.steps.versions import Shown, Sighting, Unchanged, record, still_shows

REQUIRED = ("video_id", "niche", "channel", "title", "views", "published_on", "observed_at", "image")
OPTIONAL = ("duration_s", "tags")
_BATCH = 128
_LONGEST_ID = 200
_SUFFIXES = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP"}


@dataclass(frozen=True)
class RowProblem:
    """What is wrong with one row of `videos.csv`; `line` counts from 1, the header included."""

    line: int
    video_id: str
    problem: str
    skipped: bool = True


@dataclass
class Imported:
    """What an import read. `problems` names each row that was skipped, or taken with a remark; `video_ids` are the good."""

    rows: int = 0
    good: int = 0
    new_videos: int = 0
    new_observations: int = 0
    video_ids: set[str] = field(default_factory=set)
    problems: list[RowProblem] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Row:
    line: int
    record: VideoRecord
    channel: ChannelRecord
    image: Path


def import_catalogue(lab: Lab, folder: Path, progress: Progress = silent) -> Imported:
    """Read `folder/videos.csv` and its pictures into the library. Reading it again changes nothing.

    Raises `LabError` when the file is missing, lacks a required column, or when no row at all could be read.
    """
    report = Imported()
    rows = list(_rows(folder, report))
    for batch in batches(rows, _BATCH, "importing", progress):
        good: list[tuple[_Row, Picture, bytes]] = []
        for row in batch:
            try:
                data = row.image.read_bytes()
                picture = decode(data)
            except OSError as error:
                report.problems.append(_problem(row, f"image {row.image.name} cannot be read ({error.strerror})"))
            except ImageError as error:
                report.problems.append(_problem(row, f"image {row.image.name}: {error}"))
            else:
                named = _SUFFIXES.get(row.image.suffix.lower())
                if named != picture.format:
                    remark = f"image {row.image.name} is a {picture.format} ({FORMATS[picture.format]}); read as that"
                    report.problems.append(RowProblem(row.line, row.record.video_id, remark, skipped=False))
                good.append((row, picture, data))
        saved = _save(lab, good)
        report.good += len(good)
        report.video_ids.update(row.record.video_id for row, _, _ in good)
        report.new_videos += saved.new_videos
        report.new_observations += saved.new_observations
    report.problems.sort(key=lambda problem: problem.line)
    if not report.good:
        first = f"; line {report.problems[0].line}: {report.problems[0].problem}" if report.problems else ""
        raise LabError(f"not one of the {report.rows} rows of {folder / 'videos.csv'} could be read{first}")
    return report


def channel_id_of(name: str) -> str:
    """A catalogue names channels by title only: an id of YouTube's form, the same for the same title."""
    return "UC" + base64.urlsafe_b64encode(hashlib.sha256(name.encode()).digest()).decode()[:22]


def _problem(row: _Row, text: str) -> RowProblem:
    return RowProblem(row.line, row.record.video_id, text)


def _save(lab: Lab, good: list[tuple[_Row, Picture, bytes]]) -> Saved:
    if not good:
        return Saved()
    for _, _, data in good:
        lab.images.put(data)
    with lab.engine.begin() as connection:
        save_channels(connection, list({row.channel.channel_id: row.channel for row, _, _ in good}.values()))
        saved = save_videos(connection, [row.record for row, _, _ in good])
        record(connection, _sightings(lab, connection, good))
    return saved


def _sightings(lab: Lab, connection: Connection, good: list[tuple[_Row, Picture, bytes]]) -> list[Sighting]:
    """What the catalogue shows, at the time it was observed. It does not replace what was seen later."""
    ids = [row.record.video_id for row, _, _ in good]
    known = {
        row.video_id: row
        for row in connection.execute(
            select(thumbnails).where(thumbnails.c.video_id.in_(ids), thumbnails.c.sha256.is_not(None))
        )
    }
    seen: list[Sighting] = []
    for row, picture, _ in good:
        name, at, old = row.record.video_id, row.record.observed_at, known.get(row.record.video_id)
        if old is not None and still_shows(lab.images, old.sha256, picture):
            seen.append(Unchanged(name, at))
        elif old is None or at >= old.checked_at:
            phash = perceptual_hash(picture.pixels)
            seen.append(Shown(name, at, picture.sha256, picture.width, picture.height, phash))
    return seen


def _rows(folder: Path, report: Imported) -> Iterator[_Row]:
    path = folder / "videos.csv"
    try:
        # A byte that is not UTF-8 becomes a lone surrogate, so that it costs its own row and no other.
        file = path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")
    except OSError as error:
        raise LabError(f"{path} cannot be read ({error.strerror}); a catalogue is a folder with videos.csv") from None
    with file:
        reader = csv.DictReader(file)
        try:
            header = reader.fieldnames or []
        except csv.Error as error:
            raise LabError(f"{path} is no CSV file ({error}); save it as such") from None
        if any(_not_utf8(name) for name in header):
            raise LabError(f"{path} is not in UTF-8; save it as CSV in UTF-8")
        missing = [name for name in REQUIRED if name not in header]
        if missing:
            raise LabError(
                f"{path} lacks the column{'s'[: len(missing) > 1]} {', '.join(missing)}; it has {', '.join(header)}"
            )
        report.remarks += [f"no column {name}: imported without" for name in OPTIONAL if name not in header]
        first_seen: dict[str, int] = {}
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:  # such as a cell of more than 128 KiB; the reader goes on with the next line
                report.rows += 1
                report.problems.append(RowProblem(reader.reader.line_num, "", str(error)))
                continue
            report.rows += 1
            row = _row(cells, reader.line_num, folder, first_seen)
            if isinstance(row, RowProblem):
                report.problems.append(row)
            else:
                yield row


def _row(cells: dict[str, str | None], line: int, folder: Path, first_seen: dict[str, int]) -> _Row | RowProblem:
    video_id = (cells.get("video_id") or "").strip()
    try:
        if None in cells:
            raise ValueError("the row has more cells than the header; is a comma unquoted?")
        bad = [name for name, cell in cells.items() if cell and ("\0" in cell or _not_utf8(cell))]
        if bad:
            raise ValueError(f"{', '.join(bad)} holds bytes that are no text; save the file in UTF-8")
        empty = [name for name in REQUIRED if not (cells.get(name) or "").strip()]
        if empty:
            raise ValueError(f"{', '.join(empty)} is missing")
        if video_id in first_seen:
            raise ValueError(f"video_id {video_id} stands on line {first_seen[video_id]} already")
        row = _parse({name: (cell or "").strip() for name, cell in cells.items()}, line, folder)
    except (ValueError, OSError, RuntimeError) as error:  # RuntimeError: a loop of links on the way to the image
        return RowProblem(line, "" if _not_utf8(video_id) else video_id[:_LONGEST_ID], str(error))
    first_seen[video_id] = line
    return row


def _parse(cells: dict[str, str], line: int, folder: Path) -> _Row:
    """Raises `ValueError` with a sentence for the report."""
    if cells["niche"] not in NICHES:
        raise ValueError(f"niche {cells['niche']!r} is none of {', '.join(NICHES)}")
    if len(cells["video_id"]) > _LONGEST_ID:
        raise ValueError(f"video_id has {len(cells['video_id'])} characters; at most {_LONGEST_ID} are kept")
    views = _whole(cells["views"], "views")
    published, observed = _date(cells["published_on"], "published_on"), _date(cells["observed_at"], "observed_at")
    if observed < published:
        raise ValueError(f"observed_at {cells['observed_at']} lies before published_on {cells['published_on']}")
    image = (folder / cells["image"]).resolve()
    if not image.is_relative_to(folder.resolve()):
        raise ValueError(f"image {cells['image']!r} lies outside the catalogue")
    channel = ChannelRecord(channel_id_of(cells["channel"]), cells["channel"])
    record = VideoRecord(
        video_id=cells["video_id"],
        niche=cells["niche"],
        channel_id=channel.channel_id,
        title=cells["title"],
        published_at=published,
        duration_s=_whole(cells["duration_s"], "duration_s", 2**31) if cells.get("duration_s") else None,
        tags=tuple(tag.strip() for tag in cells.get("tags", "").split(",") if tag.strip()),
        thumbnail_urls=(),
        source="catalogue",
        observed_at=observed,
        view_count=views,
    )
    return _Row(line, record, channel, image)


def _not_utf8(text: str) -> bool:
    return any("\ud800" <= letter <= "\udfff" for letter in text)


def _whole(text: str, name: str, limit: int = 2**53) -> int:
    try:
        number = int(text)
    except ValueError:
        raise ValueError(f"{name} {text[:40]!r} is not a whole number") from None
    if not 0 <= number < limit:
        raise ValueError(f"{name} {number} is {'negative' if number < 0 else 'too large'}")
    return number


def _date(text: str, name: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{name} {text[:40]!r} is no ISO date such as 2026-01-31") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
