"""Import YouTube Studio exports: the true click-through rate of one's own videos. A bad row is named and skipped."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from sqlalchemy import ARRAY, ColumnElement, Connection, Text, any_, delete, func, insert, literal, select, text

from thumblab_core.database.tables import video_reach, videos
from thumblab_core.errors import LabError
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.owner_ctr.studio_numbers import count, has_decimal_commas, is_nothing, number, seconds
from thumblab_pipelines.owner_ctr.studio_table import VIDEO_ID, Cells, read_tables
from thumblab_pipelines.tables.problems import RowProblem
from thumblab_pipelines.videos.records import LONGEST_SHORT_S

STUDIO = "studio"
"""`video_reach.source` of these rows."""

_LONGEST_ID = 200


@dataclass
class StudioImport:
    """What one file told. Every row is one of `with_ctr`, one of `problems`, or told again by another table of the file.

    `new`, `changed` and `unchanged` compare with the export of the same video that was stored before; `older` counts those
    that are kept as they are, since a newer export was imported already. `shorts` are videos that are or may be Shorts.
    """

    file: str
    as_of: date
    tables: int = 0
    rows: int = 0
    with_ctr: int = 0
    shorts: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    older: int = 0
    in_library: int = 0
    video_ids: list[str] = field(default_factory=list)
    problems: list[RowProblem] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Reach:
    """Lifetime totals of one video; the rate is a fraction of the impressions."""

    video_id: str
    impressions: int
    click_through_rate: float
    is_short: bool | None


def import_studio(lab: Lab, path: Path, as_of: date | None = None) -> StudioImport:
    """Read an export (`Table data.csv`, or the .zip that holds it, or several) into `video_reach`.

    An export has lifetime totals, so a video keeps one row, its newest. `as_of` is the day that the export was made, by
    default that of the file's last change (UTC). Of a video that several tables of a .zip name, the row with the most
    impressions counts, for lifetime totals only grow. Reading it again changes nothing.

    Raises `LabError` when the file cannot be read, or when no row at all has a click-through rate.
    """
    report = StudioImport(str(path), _day(path, as_of))
    found: dict[str, _Reach] = {}
    again = 0
    tables, left = read_tables(path)
    report.remarks += [f"left out: {sentence}" for sentence in left]
    for where, table in tables.items():
        inside = f" (in {where.removeprefix(f'{path} > ')})" if len(tables) > 1 else ""
        report.tables += 1
        report.remarks += [remark + inside for remark in table.remarks]
        for reach in _read(table.rows, report, inside):
            again += reach.video_id in found
            if reach.video_id not in found or found[reach.video_id].impressions <= reach.impressions:
                found[reach.video_id] = reach
    if again:
        report.remarks.append(
            f"{again} videos stand in more than one of its {report.tables} tables; of each the row with the most "
            "impressions is taken"
        )
    if not found:
        first = f"; line {report.problems[0].line}: {report.problems[0].problem}" if report.problems else ""
        raise LabError(f"not one of the {report.rows} videos of {path} has a click-through rate{first}")
    report.with_ctr = len(found)
    report.video_ids = list(found)
    report.shorts = sum(reach.is_short is True for reach in found.values())
    with lab.engine.begin() as connection:
        _save(connection, found, report)
    report.in_library = in_library(lab, found)
    return report


def _read(rows: Sequence[Cells | RowProblem], report: StudioImport, inside: str) -> Iterator[_Reach]:
    """The good rows of a table; the others are problems."""
    first_seen: dict[str, int] = {}
    commas = has_decimal_commas(row.texts["rate"] for row in rows if isinstance(row, Cells))
    for row in rows:
        report.rows += 1
        if isinstance(row, RowProblem):
            report.problems.append(replace(row, problem=row.problem + inside))
            continue
        try:
            reach = _parse(row, commas)
            if reach.video_id in first_seen:
                raise ValueError(f"the video stands on line {first_seen[reach.video_id]} already")
        except ValueError as error:
            report.problems.append(RowProblem(row.line, row.texts["video"][:_LONGEST_ID], f"{error}{inside}"))
        else:
            first_seen[reach.video_id] = row.line
            yield reach


def in_library(lab: Lab, video_ids: Collection[str]) -> int:
    """How many of the videos the lab has collected."""
    with lab.engine.connect() as connection:
        statement = select(func.count()).select_from(videos).where(_is_one_of(videos.c.video_id, video_ids))
        return connection.execute(statement).scalar_one()


def _is_one_of(column: ColumnElement[str], video_ids: Collection[str]) -> ColumnElement[bool]:
    """One parameter for all of them: a statement of PostgreSQL takes at most 65,535, and a .zip may hold more videos."""
    return column == any_(literal(list(video_ids), ARRAY(Text)))


def _save(connection: Connection, found: dict[str, _Reach], report: StudioImport) -> None:
    # Two imports at once would each find no row of the other's and leave two of a video.
    connection.execute(text("LOCK TABLE video_reach IN SHARE ROW EXCLUSIVE MODE"))
    of_these = (video_reach.c.source == STUDIO) & _is_one_of(video_reach.c.video_id, found)
    stored = {row.video_id: row for row in connection.execute(select(video_reach).where(of_these))}
    fresh: list[_Reach] = []
    for video_id, reach in found.items():
        before = stored.get(video_id)
        if before is None:
            report.new += 1
        elif before.day > report.as_of:
            report.older += 1
            continue
        elif _Reach(video_id, before.impressions, before.click_through_rate, before.is_short) == reach:
            report.unchanged += 1
            if before.day == report.as_of:
                continue
        else:
            report.changed += 1
        fresh.append(reach)
    if not fresh:
        return
    replaced = _is_one_of(video_reach.c.video_id, [reach.video_id for reach in fresh])
    connection.execute(delete(video_reach).where((video_reach.c.source == STUDIO) & replaced))
    now = datetime.now(UTC)
    rows = [
        {
            "video_id": reach.video_id,
            "source": STUDIO,
            "day": report.as_of,
            "impressions": reach.impressions,
            "click_through_rate": reach.click_through_rate,
            "is_short": reach.is_short,
            "imported_at": now,
        }
        for reach in fresh
    ]
    connection.execute(insert(video_reach), rows)


def _parse(row: Cells, decimal_commas: bool) -> _Reach:
    """Raises `ValueError` with a sentence for the report."""
    cells = row.texts
    if not VIDEO_ID.fullmatch(cells["video"]):
        raise ValueError(f"{cells['video'][:40]!r} is no id of a video (11 letters, digits, - and _)")
    impressions = count(cells["impressions"], "impressions", decimal_commas)
    if impressions == 0:
        raise ValueError("has no impressions, and so no click-through rate")
    percent = number(cells["rate"].removesuffix("%").rstrip(), "click-through rate", decimal_commas)
    if percent > 100:
        raise ValueError(f"click-through rate {cells['rate'][:40]} lies outside 0 to 100 %")
    return _Reach(cells["video"], impressions, percent / 100, _is_short(cells, decimal_commas))


def _is_short(cells: dict[str, str], decimal_commas: bool) -> bool | None:
    """By the feed of Shorts where the table has it: an ordinary video has no figures there, or was shown in it 0 times.

    Else by the length alone, for a table tells no shape: up to three minutes it may be a Short, and counts as one.
    """
    feed = [cells[name].strip("0.,% ") for name in ("shown_in_feed", "stayed") if name in cells]
    if feed:
        return not all(map(is_nothing, feed))
    length = seconds(cells.get("duration", ""), decimal_commas)
    return None if length is None else length <= LONGEST_SHORT_S


def _day(path: Path, as_of: date | None) -> date:
    today = datetime.now(UTC).date()
    if as_of is None:
        try:
            changed = datetime.fromtimestamp(path.stat().st_mtime, UTC).date()
        except OSError as error:
            raise LabError(f"{path} cannot be read ({error.strerror}); check the name and your rights") from None
        # A clock that was ahead must not keep later exports out.
        return min(changed, today)
    if as_of > today + timedelta(days=1):  # it may be tomorrow already where the export was made
        raise LabError(f"an export as of {as_of} cannot have been made yet; give the day that it was made")
    return as_of
