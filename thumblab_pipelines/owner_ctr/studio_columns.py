"""Find the columns of a Studio table: by the names that a person gave, by known names, and by their values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from thumblab_core.errors import LabError
from thumblab_core.given_text import storable
from thumblab_pipelines.owner_ctr.studio_column_names import (
    ENGLISH,
    FIELDS,
    IMPRESSIONS,
    RATE,
    VIDEO,
    field_of,
    language_of,
    normalized,
)
from thumblab_pipelines.owner_ctr.studio_dates import read_dates
from thumblab_pipelines.owner_ctr.studio_file import listed, shown
from thumblab_pipelines.owner_ctr.studio_shape import id_column, recognise

REQUIRED = (VIDEO, IMPRESSIONS, RATE)
"""The columns that every imported table must have."""

_LOOKED_AT = 20
"""Number of rows whose first cells are read if columns are missing. If these cells are dates, each row is about a day
and not about a video."""

HOW_TO_NAME = "name it, for example --column rate='COLUMN' (a column's name or its number)"


@dataclass(frozen=True)
class TableColumns:
    """The columns of a table, and which of them were recognised.

    `header`: names of the columns. `at`: positions of the recognised columns, by the lab's name. `missing`: the lab's
    names of the columns that a person has to name. For each of these names, the lab found no column in the table, or
    several columns that may be meant.
    """

    where: str
    header: tuple[str, ...]
    at: Mapping[str, int]
    missing: tuple[str, ...]


class UnknownColumnsError(LabError):
    """Raised if needed columns of tables were not recognised. A person may then name the columns."""

    def __init__(self, message: str, tables: Sequence[TableColumns]) -> None:
        super().__init__(message)
        self.tables = list(tables)


def joined(errors: Sequence[LabError]) -> LabError:
    """Return one error that has the messages of several errors, and the tables of each `UnknownColumnsError`."""
    message = "; ".join(str(error) for error in errors)
    tables = [table for error in errors if isinstance(error, UnknownColumnsError) for table in error.tables]
    return UnknownColumnsError(message, tables) if tables else LabError(message)


@dataclass(frozen=True)
class Columns:
    """The columns of a table: their names, the positions of the recognised columns by the lab's name, and the language.

    `language`: None if no column has a known name. `remarks`: sentences that name the columns that were recognised by
    their values.
    """

    header: tuple[str, ...]
    at: dict[str, int]
    language: str | None
    remarks: list[str] = field(default_factory=list)

    @property
    def month_first(self) -> bool:
        """Whether a date such as 03/04/2026 means 4 March, if no other date of the column shows the order."""
        return self.language in (None, ENGLISH)


def find_columns(
    where: str,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    totals: Sequence[str] | None,
    given: Mapping[str, str],
) -> Columns:
    """Return the columns of the table in `where`.

    `rows`: the cells of the rows of videos. `totals`: the cells of the row of totals. `given`: the columns that a
    person gave with `--column`. A key is the lab's name of a column, and its value is the column's name or number in
    the table.

    Raises `UnknownColumnsError` if a required column is missing, or if several columns may hold the same figure. Raises
    `LabError` if a column that a person named does not exist.
    """
    if any(not storable(name) for name in header):
        raise LabError(f"{where} is not in UTF-8; import the file as YouTube Studio gave it")
    names = [normalized(name) for name in header]
    present = _present(header, names, rows)
    at = {name: _given_column(where, names, present, name, column) for name, column in given.items()}
    at |= _named_columns(where, header, names, at)
    found = recognise(header, rows, totals, at)
    columns = Columns(tuple(header), at | found, language_of(set(names)))
    missing = [name for name in REQUIRED if name not in columns.at]
    if missing:
        message, may_be_videos = _missing(where, rows, missing, present)
        unknown = [TableColumns(where, columns.header, columns.at, tuple(missing))] if may_be_videos else []
        raise UnknownColumnsError(message, unknown)
    guessed = [f"{shown(header[found[name]])!r} as {FIELDS[name]}" for name in FIELDS if name in found]
    if guessed:
        columns.remarks.append(
            f"the names of some columns are not known, so the columns were recognised by their values: "
            f"{', '.join(guessed)}; if one is wrong, {HOW_TO_NAME}"
        )
    return columns


def _present(header: Sequence[str], names: Sequence[str], rows: Sequence[Sequence[str]]) -> str | None:
    """Return the names of the columns for an error message. Return None if the table is no export of Studio.

    The error message may quote column names only from an export. In any other file, the first line may be a secret.
    """
    is_export = language_of(set(names)) is not None or id_column(rows, len(header)) is not None
    return listed(header) if is_export else None


def _given_column(where: str, names: Sequence[str], present: str | None, name: str, column: str) -> int:
    """Return the position of the column that a person gave for the lab's column `name`. `present`: the result of
    `_present`."""
    matches = [at for at, known in enumerate(names) if known == normalized(column)]
    if len(matches) == 1:
        return matches[0]
    if not matches and column.strip().isdecimal() and 1 <= int(column.strip()[:9]) <= len(names):
        return int(column) - 1
    problem = f"has {len(matches)} columns called" if matches else "has no column"
    hint = "give the number of the column instead" if matches else _it_has(len(names), present)
    raise LabError(f"{where} {problem} {shown(column)!r}, which --column {name} names; {hint}")


def _named_columns(where: str, header: Sequence[str], names: Sequence[str], given: Mapping[str, int]) -> dict[str, int]:
    """Return the positions of the columns with known names. Leave out the columns in `given`, which a person chose."""
    positions: dict[str, list[int]] = {}
    for at, name in enumerate(names):
        known = field_of(name)
        if known is not None and known not in given and at not in given.values():
            positions.setdefault(known, []).append(at)
    for figure, several in positions.items():
        matches = [header[at] for at in several]
        if len(several) > 1 and len({names[at] for at in several}) == 1:
            raise LabError(
                f"{where} has the column {shown(matches[0])} {len(matches)} times; export the table from Studio "
                "without a comparison of periods"
            )
        if len(several) > 1:
            clear = {name: found[0] for name, found in positions.items() if len(found) == 1}
            raise UnknownColumnsError(
                f"{where} has several columns that may hold the same figure ({listed(matches)}); remove all but one of "
                "these columns from the table in Studio and export again, or choose one of them with --column",
                [TableColumns(where, tuple(header), {**given, **clear}, (figure,))],
            )
    return {known: several[0] for known, several in positions.items()}


def _missing(
    where: str, rows: Sequence[Sequence[str]], missing: Sequence[str], present: str | None
) -> tuple[str, bool]:
    """Return the error message for a table that lacks required columns, and whether the table may be a table of videos."""
    first = [row[0].strip() for row in rows[:_LOOKED_AT] if row and row[0].strip()]
    if first and None not in read_dates(first):
        return f"{where} has a row for each day and not for each video; the import does not need this table", False
    if present is None:
        return (
            f"{where} is not an export of YouTube Studio: none of its columns has a known name or ids of videos; export "
            "the table in Studio's Analytics under Advanced mode"
        ), True
    noun = "column" if len(missing) == 1 else "columns"
    return (
        f"{where} lacks the {noun} {', '.join(FIELDS[name] for name in missing)}; it has {present}. If one of these is "
        f"the column, {HOW_TO_NAME}. Otherwise open Advanced mode in Studio's Analytics, choose Content, add the metrics "
        "Impressions and Impressions click-through rate, and export again"
    ), True


def _it_has(count: int, present: str | None) -> str:
    if present is not None:
        return f"it has {present}"
    return f"it has {count} {'column' if count == 1 else 'columns'}, and none has a known name or ids of videos"
