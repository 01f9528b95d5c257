"""Read the rows of a catalogue's `videos.csv`. A bad row is reported and skipped. All other rows are read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from thumblab_core.errors import LabError
from thumblab_core.given_text import not_utf8, visible
from thumblab_pipelines.tables.cells import is_nothing, moment, seconds, whole
from thumblab_pipelines.tables.csv_table import ReadTable, cell_texts, column_names, header_and_rows, require_text
from thumblab_pipelines.tables.problems import RowProblem
from thumblab_pipelines.videos.names import channel_id_of, plain_text
from thumblab_pipelines.videos.records import ChannelRecord, VideoRecord

REQUIRED = ("video_id", "niche", "channel", "title", "views", "published_on", "observed_at", "image")
OPTIONAL = ("duration_s", "tags")
_FREE_TEXT = ("channel", "title", "tags")
"""Columns with text that people write. Some tools write HTML entities such as `&amp;` into these columns, so the lab
decodes them."""

_VALUES = {"views", "published_on", "observed_at", "duration_s", "tags", "channel"}
"""Columns in which words such as `nan` mean that there is no value. The column `title` is not included, because a video
may really have the title `nan`."""

_LONGEST_ID = 200
_SHOWN = 40
"""Maximum number of characters of a cell that an error message shows."""


@dataclass(frozen=True)
class Row:
    """A row of `videos.csv` that could be read. `image`: path of the row's picture. The file may be missing."""

    line: int
    record: VideoRecord
    channel: ChannelRecord
    image: Path


@dataclass
class CatalogueTable(ReadTable):
    """The table `folder/videos.csv`, and the problems that were found while reading it.

    `niches`: names of the lab's niches. `rows`: number of rows that were read so far. `problems`: an entry for each
    skipped row, and for each row in which the length of the video could not be read. A row without a readable length is
    still used. `remarks`: sentences about the whole table. The remarks list missing optional columns, and columns in
    which HTML entities were decoded.
    """

    folder: Path
    niches: Sequence[str]
    _header: list[str] = field(default_factory=list)
    _lines: dict[str, int] = field(default_factory=dict)
    _escaped: dict[str, list[str]] = field(default_factory=dict)

    def read(self) -> Iterator[Row]:
        """Yield each good row.

        Raises `LabError` if the file does not exist, is not a CSV file in UTF-8, or lacks a required column.
        """
        path = self.folder / "videos.csv"
        try:
            # The path may be a pipe, for example. Reading from a pipe may never end, so only a regular file is read.
            if path.exists() and not path.is_file():
                raise LabError(f"{path} cannot be read (it is not a file); a catalogue is a folder with videos.csv")
            # With `surrogateescape`, a byte that is not UTF-8 becomes a lone surrogate, which `not_utf8` finds. So only
            # the row with this byte is skipped, and all other rows are read.
            file = path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")
        except OSError as error:
            raise LabError(
                f"{path} cannot be read ({error.strerror}); a catalogue is a folder with videos.csv"
            ) from None
        with file:
            lines = file.readlines()
        header, rows = header_and_rows(path, lines, self._is_row)
        advice = "; save it with commas between the cells" if len(header) == 1 else ""
        self._header = column_names(path, header, REQUIRED, OPTIONAL, advice)
        self.remarks += [
            f"there is no column {name}; the videos were imported without it"
            for name in OPTIONAL
            if name not in self._header
        ]
        yield from self.good_rows(rows, self._row)
        self._remark_on_entities()

    def _is_row(self, cells: Sequence[str]) -> bool:
        # If a quote in the header is never closed, the header is still unknown when this method is called. In this
        # case, no line counts as a row.
        return bool(self._header) and cells[self._header.index("niche")].strip() in self.niches

    def _row(self, cells: Sequence[str], line: int) -> Row | RowProblem:
        """Convert the cells of a line to a row. Return the problem instead if the line must be skipped.

        If only the length of the video cannot be read, the row is returned without a length, and `problems` says so.
        """
        texts = cell_texts(self._header, cells)
        video_id = texts["video_id"]
        try:
            require_text(self._header, cells, texts)
            texts = {name: "" if name in _VALUES and is_nothing(text) else text for name, text in texts.items()}
            plain = texts | {name: plain_text(texts[name]) for name in _FREE_TEXT if name in texts}
            empty = [name for name in REQUIRED if not visible(plain[name])]
            if empty:
                raise ValueError(f"{', '.join(empty)} is missing")
            if video_id in self._lines:
                raise ValueError(f"video_id {video_id[:_SHOWN]} is on line {self._lines[video_id]} already")
            remark = _length_problem(plain)
            self._require_niche(plain["niche"])
            row = _parse(plain | {"duration_s": ""} if remark else plain, line, self.folder)
        # Python raises RuntimeError if the path of the image leads through a loop of symbolic links.
        except (ValueError, ArithmeticError, OSError, RuntimeError) as error:
            return RowProblem(line, "" if not_utf8(video_id) else video_id[:_LONGEST_ID], _sentence(error))
        self._lines[video_id] = line
        if remark:
            self.problems.append(RowProblem(line, video_id, remark, skipped=False))
        for name in _FREE_TEXT:
            if name in texts and plain[name] != texts[name]:
                self._escaped.setdefault(name, []).append(
                    f"line {line}, {texts[name][:60]!r} is read as {plain[name][:60]!r}"
                )
        return row

    def _require_niche(self, niche: str) -> None:
        if niche not in self.niches:
            raise ValueError(f"niche {niche[:_SHOWN]!r} does not exist; use {', '.join(self.niches)}")

    def _remark_on_entities(self) -> None:
        for name, examples in self._escaped.items():
            self.remarks.append(
                f"HTML entities in {name} of {len(examples)} rows were decoded, such as on {examples[0]}"
            )


def _length_problem(cells: dict[str, str]) -> str | None:
    """Return why the length of the video cannot be read, or None if the length can be read.

    The length is optional, so the row is still used.
    """
    try:
        if cells.get("duration_s"):
            seconds(cells["duration_s"], "duration_s")
    except (ValueError, ArithmeticError) as error:
        return f"{error}; the row was read without a length"
    return None


def _parse(cells: dict[str, str], line: int, folder: Path) -> Row:
    """Convert the cells of one line to a `Row`. `cells` has the text of each cell by the name of its column.

    Raises `ValueError` if a cell cannot be read. The message of the error is shown to the person who imports the
    catalogue.
    """
    if len(cells["video_id"]) > _LONGEST_ID:
        raise ValueError(f"video_id has {len(cells['video_id'])} characters; at most {_LONGEST_ID} are allowed")
    views = whole(cells["views"], "views")
    published, observed = moment(cells["published_on"], "published_on"), moment(cells["observed_at"], "observed_at")
    if observed < published:
        raise ValueError(
            f"observed_at {cells['observed_at'][:_SHOWN]} is before published_on {cells['published_on'][:_SHOWN]}"
        )
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
    """Return the path of the picture, with symbolic links resolved. Raises `ValueError` if the path is outside the
    catalogue's folder.

    The name may have backslashes, as on Windows.
    """
    if "\\" in name and not (folder / name).exists():
        name = name.replace("\\", "/")
    image = (folder / name).resolve()
    if not image.is_relative_to(folder.resolve()):
        raise ValueError(f"image {name[:_SHOWN]!r} is outside the catalogue; copy it into the catalogue's folder")
    return image


def _sentence(error: Exception) -> str:
    """Return the message of the error, as text for `problems`.

    The text for an `OSError` does not repeat the path of the picture, because the path may be long.
    """
    return f"image cannot be read ({error.strerror})" if isinstance(error, OSError) else str(error)
