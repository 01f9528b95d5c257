"""Find the header of a CSV table, and check its columns."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from thumblab_core.errors import LabError
from thumblab_pipelines.tables.rows import IsRow, header_line, not_utf8, read_rows, separator_of

_SHOWN_COLUMNS = 30
_SHOWN = 40
"""A message shows at most this many characters of a column's name."""


def header_and_rows(
    path: Path, lines: Sequence[str], is_row: IsRow
) -> tuple[list[str], Iterator[tuple[int, list[str] | str]]]:
    """Return the cells of the header of a table, and its other rows as `read_rows` yields them.

    The table at `path` has the given lines. Raises `LabError` if its header is not CSV.
    """
    start = header_line(lines)
    rows = read_rows(lines, start, separator_of(lines[start] if start < len(lines) else ""), is_row)
    _, header = next(rows, (0, []))
    if isinstance(header, str):
        raise LabError(f"{path} is not a CSV file ({header}); save it as CSV")
    return header, rows


def column_names(
    path: Path, header: Sequence[str], required: Sequence[str], optional: Sequence[str], advice: str
) -> list[str]:
    """Return the names of the columns in lower case, without spaces around them.

    Raises `LabError` if the header is not UTF-8, lacks a required column, or has a required or an optional column
    twice. `advice` ends the sentence about a missing column.
    """
    if any("\0" in name or not_utf8(name) for name in header):
        raise LabError(f"{path} is not in UTF-8; save it as CSV in UTF-8")
    names = [name.strip().casefold() for name in header]
    missing = [name for name in required if name not in names]
    if missing:
        columns = "column" if len(missing) == 1 else "columns"
        present = ", ".join(name[:_SHOWN] for name in header[:_SHOWN_COLUMNS]) or "no columns"
        raise LabError(f"{path} lacks the {columns} {', '.join(missing)}; it has {present}{advice}")
    repeated = [name for name in (*required, *optional) if names.count(name) > 1]
    if repeated:
        raise LabError(f"{path} has the column {repeated[0]} {names.count(repeated[0])} times; remove all but one")
    return names
