"""Read scoring requests from a folder of pictures, or from a CSV table."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from thumblab_core.errors import LabError
from thumblab_core.images.limits import SUFFIXES
from thumblab_core.niches import is_niche_name
from thumblab_pipelines.tables.csv_table import (
    ReadTable,
    cell_texts,
    column_names,
    header_and_rows,
    require_text,
    table_lines,
)
from thumblab_pipelines.tables.problems import RowProblem

_OPTIONAL = ("title", "niche", "channel", "group")
_LARGEST_TABLE = 64 * 2**20


@dataclass(frozen=True)
class ScoreRequest:
    """Pictures that are ranked against each other, with the titles, the niches and the channel of the ranking.

    `group` is the name of the request. `images` are paths or URLs. There is at least one title and one niche.
    """

    group: str
    titles: tuple[str, ...]
    niches: tuple[str, ...]
    channel: str | None
    images: tuple[str, ...]

    @property
    def key(self) -> str:
        """A short digest of the request. The digest shows whether the results of a request are already in the table."""
        asked = [self.group, self.titles, self.niches, self.channel, *self.images]
        return hashlib.sha256(json.dumps(asked).encode(errors="surrogateescape")).hexdigest()[:12]


@dataclass(frozen=True)
class Defaults:
    """The values of the command's options. A request gets these values where the folder or the table has no value of
    its own.

    `known_niches`: the niches of the lab, if the lab itself answers. None if a service elsewhere answers.
    """

    titles: tuple[str, ...]
    niches: tuple[str, ...]
    channel: str | None
    known_niches: tuple[str, ...] | None = None


def folder_requests(folder: Path, defaults: Defaults) -> list[ScoreRequest]:
    """Return a request for each picture in a folder, and one request for all pictures of each subfolder.

    Raises `LabError` if there is no picture, or if the title or the niche is missing.
    """
    if not defaults.titles or not defaults.niches:
        raise LabError("give --title and --niche for a folder; if each video has its own title, give a CSV table")
    groups: list[tuple[str, tuple[str, ...]]] = [(path.name, (str(path),)) for path in _pictures(folder)]
    for below in sorted(path for path in folder.iterdir() if path.is_dir()):
        images = tuple(str(path) for path in _pictures(below))
        if images:
            groups.append((below.name, images))
    if not groups:
        raise LabError(f"{folder} has no pictures; the name of a picture ends in {', '.join(sorted(SUFFIXES))}")
    titles, niches = defaults.titles, defaults.niches
    return [ScoreRequest(name, titles, niches, defaults.channel, images) for name, images in groups]


@dataclass
class RequestTable(ReadTable):
    """A CSV table with a row for each picture.

    The column `thumbnail` has a URL, or a path that is relative to the folder of the table. The columns `title`,
    `niche` and `channel` may be missing or empty. An option of the command then replaces the missing value.

    Rows with the same text in the column `group` are ranked against each other. The rows of a group must have the same
    title, niche and channel. A row without a group is scored alone.
    """

    path: Path
    defaults: Defaults
    _header: list[str] = field(default_factory=list)

    def read(self) -> list[ScoreRequest]:
        """Return the requests. Each row that cannot be used is in `problems`.

        Raises `LabError` if the file cannot be read, is not a CSV table in UTF-8, or has no column `thumbnail`.
        """
        lines = table_lines(self.path, _LARGEST_TABLE)
        header, rows = header_and_rows(self.path, lines, lambda cells: bool(self._header))
        advice = ". The columns title, niche, channel and group may be there too"
        self._header = column_names(self.path, header, ("thumbnail",), _OPTIONAL, advice)
        # Rows of empty cells are skipped. A spreadsheet may write empty rows.
        rows = (row for row in rows if any(row[1]))
        return list(self._grouped(self.good_rows(rows, self._row)))

    def _row(self, cells: Sequence[str], line: int) -> tuple[int, ScoreRequest] | RowProblem:
        texts = dict.fromkeys(_OPTIONAL, "") | cell_texts(self._header, cells)
        try:
            require_text(self._header, cells, texts)
            image = texts["thumbnail"]
            titles = (texts["title"],) if texts["title"] else self.defaults.titles
            niches = (texts["niche"],) if texts["niche"] else self.defaults.niches
            if not image:
                raise ValueError("thumbnail is missing; fill in the cell")
            for name, values in (("title", titles), ("niche", niches)):
                if not values:
                    raise ValueError(f"{name} is missing; fill in the cell, or give --{name} for all rows without it")
            known = self.defaults.known_niches
            if known is not None and niches[0] not in known:
                raise ValueError(f"niche is {niches[0][:40]}; use one of {', '.join(known)}")
            if not is_niche_name(niches[0]):
                raise ValueError(
                    f"niche is {niches[0][:40]!r}, which is not the name of a niche; `thumblab niche list` lists the names"
                )
        except ValueError as error:
            return RowProblem(line, "", str(error))
        is_url = image.startswith(("http://", "https://"))
        path = image if is_url else str(self.path.parent / image)
        group = texts["group"] or f"line {line}"
        return line, ScoreRequest(group, titles, niches, texts["channel"] or self.defaults.channel, (path,))

    def _grouped(self, rows: Iterator[tuple[int, ScoreRequest]]) -> Iterator[ScoreRequest]:
        """Yield a request for each group of rows, ordered by the first row of each group."""
        groups: dict[str, ScoreRequest] = {}
        for line, row in rows:
            known = groups.get(row.group)
            if known is None:
                groups[row.group] = row
            elif (known.titles, known.niches, known.channel) != (row.titles, row.niches, row.channel):
                problem = f"it has another title, niche or channel than the first row of the group {row.group[:40]}"
                self.problems.append(RowProblem(line, "", problem))
            elif row.images[0] not in known.images:
                groups[row.group] = replace(known, images=(*known.images, *row.images))
        yield from groups.values()


def _pictures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
