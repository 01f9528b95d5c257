"""The rows of a catalogue's `videos.csv`. A bad one is named and skipped; it never stops the rest."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from thumblab_core.errors import LabError
from thumblab_core.niches import NICHES
from thumblab_pipelines.steps.catalogue_cells import is_nothing, moment, seconds, whole
from thumblab_pipelines.steps.names import channel_id_of, visible, written
from thumblab_pipelines.steps.records import ChannelRecord, VideoRecord

REQUIRED = ("video_id", "niche", "channel", "title", "views", "published_on", "observed_at", "image")
OPTIONAL = ("duration_s", "tags")
_WRITTEN = ("channel", "title", "tags")
"""What people write, and tools escape."""

_VALUES = {"views", "published_on", "observed_at", "duration_s", "tags", "channel"}
"""Where `nan` and the like stand for no value. A title may be just that."""

_LONGEST_ID = 200


@dataclass(frozen=True)
class RowProblem:
    """What is wrong with one row of a table; `line` counts from 1, the header included.

    `skipped` is False where the row was taken all the same.
    """

    line: int
    video_id: str
    problem: str
    skipped: bool = True


@dataclass(frozen=True)
class Row:
    """A row that can be read, and where its picture is to be."""

    line: int
    record: VideoRecord
    channel: ChannelRecord
    image: Path


@dataclass
class Table:
    """What reading `folder/videos.csv` has told so far. `remarks` say what was taken otherwise than it stands there."""

    folder: Path
    rows: int = 0
    problems: list[RowProblem] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    _lines: dict[str, int] = field(default_factory=dict)
    _escaped: dict[str, list[str]] = field(default_factory=dict)

    def read(self) -> Iterator[Row]:
        """Each good row. Raises `LabError` when there is no such file, it is no CSV in UTF-8, or lacks a required column."""
        path = self.folder / "videos.csv"
        try:
            if path.exists() and not path.is_file():  # such as a pipe, which may never end
                raise LabError(f"{path} cannot be read (it is no file); a catalogue is a folder with videos.csv")
            # A byte that is not UTF-8 becomes a lone surrogate, so that it costs its own row and no other.
            file = path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")
        except OSError as error:
            raise LabError(
                f"{path} cannot be read ({error.strerror}); a catalogue is a folder with videos.csv"
            ) from None
        with file:
            reader = csv.DictReader(file)
            try:
                header = reader.fieldnames or []
            except csv.Error as error:
                raise LabError(f"{path} is no CSV file ({error}); save it as such") from None
            self._check_header(path, header)
            while True:
                try:
                    cells = next(reader)
                except StopIteration:
                    break
                except csv.Error as error:  # such as a cell of more than 128 KiB; the reader goes on with the next line
                    self.rows += 1
                    self.problems.append(RowProblem(reader.reader.line_num, "", str(error)))
                    continue
                self.rows += 1
                row = self._row(cells, reader.line_num)
                if isinstance(row, RowProblem):
                    self.problems.append(row)
                else:
                    yield row
        self._tell_of_entities()

    def _check_header(self, path: Path, header: Sequence[str]) -> None:
        if any(_not_utf8(name) for name in header):
            raise LabError(f"{path} is not in UTF-8; save it as CSV in UTF-8")
        missing = [name for name in REQUIRED if name not in header]
        if missing:
            raise LabError(
                f"{path} lacks the column{'s'[: len(missing) > 1]} {', '.join(missing)}; it has {', '.join(header)}"
            )
        self.remarks += [f"no column {name}: imported without" for name in OPTIONAL if name not in header]

    def _row(self, cells: dict[str, str | None], line: int) -> Row | RowProblem:
        video_id = (cells.get("video_id") or "").strip()
        try:
            if None in cells:
                raise ValueError("the row has more cells than the header; is a comma unquoted?")
            texts = {name: (cell or "").strip() for name, cell in cells.items()}
            bad = [name for name, text in texts.items() if "\0" in text or _not_utf8(text)]
            if bad:
                raise ValueError(f"{', '.join(bad)} holds bytes that are no text; save the file in UTF-8")
            texts = {name: "" if name in _VALUES and is_nothing(text) else text for name, text in texts.items()}
            plain = texts | {name: written(texts[name]) for name in _WRITTEN if name in texts}
            empty = [name for name in REQUIRED if not visible(plain[name])]
            if empty:
                raise ValueError(f"{', '.join(empty)} is missing")
            if video_id in self._lines:
                raise ValueError(f"video_id {video_id} stands on line {self._lines[video_id]} already")
            row = _parse(plain, line, self.folder)
        # RuntimeError: a loop of links on the way to the image
        except (ValueError, ArithmeticError, OSError, RuntimeError) as error:
            return RowProblem(line, "" if _not_utf8(video_id) else video_id[:_LONGEST_ID], str(error))
        self._lines[video_id] = line
        for name in _WRITTEN:
            if name in texts and plain[name] != texts[name]:
                self._escaped.setdefault(name, []).append(
                    f"line {line}, {texts[name][:60]!r} is read as {plain[name][:60]!r}"
                )
        return row

    def _tell_of_entities(self) -> None:
        for name, found in self._escaped.items():
            self.remarks.append(f"HTML entities in {name} of {len(found)} rows were decoded, such as on {found[0]}")


def _parse(cells: dict[str, str], line: int, folder: Path) -> Row:
    """Raises `ValueError` with a sentence for the report."""
    if cells["niche"] not in NICHES:
        raise ValueError(f"niche {cells['niche']!r} is none of {', '.join(NICHES)}")
    if len(cells["video_id"]) > _LONGEST_ID:
        raise ValueError(f"video_id has {len(cells['video_id'])} characters; at most {_LONGEST_ID} are kept")
    views = whole(cells["views"], "views")
    published, observed = moment(cells["published_on"], "published_on"), moment(cells["observed_at"], "observed_at")
    if observed < published:
        raise ValueError(f"observed_at {cells['observed_at']} lies before published_on {cells['published_on']}")
    channel = ChannelRecord(channel_id_of(cells["channel"]), " ".join(cells["channel"].split()))
    record = VideoRecord(
        video_id=cells["video_id"],
        niche=cells["niche"],
        channel_id=channel.channel_id,
        title=cells["title"],
        published_at=published,
        duration_s=seconds(cells["duration_s"], "duration_s") if cells.get("duration_s") else None,
        tags=tuple(tag.strip() for tag in cells.get("tags", "").split(",") if tag.strip()),
        thumbnail_urls=(),
        source="catalogue",
        observed_at=observed,
        view_count=views,
    )
    return Row(line, record, channel, _image(cells["image"], folder))


def _image(name: str, folder: Path) -> Path:
    """Where the picture is, links followed; a name as Windows writes it is read as such."""
    if "\\" in name and not (folder / name).exists():
        name = name.replace("\\", "/")
    image = (folder / name).resolve()
    if not image.is_relative_to(folder.resolve()):
        raise ValueError(f"image {name!r} lies outside the catalogue")
    return image


def _not_utf8(text: str) -> bool:
    return any("\ud800" <= letter <= "\udfff" for letter in text)
