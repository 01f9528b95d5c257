"""Import the true click-through rates of a channel's videos from exports of YouTube Studio.

YouTube shows click-through rates only to the channel's owner. A bad row is reported and skipped.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from sqlalchemy import ARRAY, ColumnElement, Connection, Text, any_, delete, func, insert, literal, select, text

from thumblab_core.database.tables import channels, video_reach, videos
from thumblab_core.errors import LabError
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.owner_ctr.studio_column_names import IMPRESSIONS, RATE, VIDEO
from thumblab_pipelines.owner_ctr.studio_format import may_be_short
from thumblab_pipelines.owner_ctr.studio_marks import DecimalCommas
from thumblab_pipelines.owner_ctr.studio_numbers import count, number, without_percent
from thumblab_pipelines.owner_ctr.studio_period import first_day, period_of_file
from thumblab_pipelines.owner_ctr.studio_table import Cells, StudioTable, read_tables
from thumblab_pipelines.owner_ctr.video_ids import MAX_SHOWN_ID, require_video_id
from thumblab_pipelines.tables.problems import RowProblem

STUDIO = "studio"
"""Value of the column `video_reach.source` for rows from exports of YouTube Studio."""


@dataclass
class StudioImport:
    """The result of importing one file.

    Each row of the file is counted in `with_ctr`, is in `problems`, or is ignored because another table of the file has
    the same video. `shorts`: number of videos that are Shorts or may be Shorts.

    Four numbers compare the videos of the file with their rows from earlier exports in the table `video_reach`. `new`:
    videos without a row from an earlier export. `changed`: videos whose figures differ from their row. `unchanged`:
    videos with the same figures. `older`: videos whose row comes from a newer export than this file; their row is kept.
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
    """The totals of one video since its publication.

    `click_through_rate` is a fraction of the impressions, from 0 to 1.
    """

    video_id: str
    impressions: int
    click_through_rate: float
    is_short: bool | None


def import_studio(
    lab: Lab,
    path: Path,
    as_of: date | None = None,
    given: Mapping[str, str] | None = None,
    only: Collection[str] | None = None,
) -> StudioImport:
    """Import an export into `video_reach`. An export is a `Table data.csv`, or a .zip with one or more such files.

    An export has the totals of each video since its publication. So the lab keeps only one row per video, from the
    newest export. A row without totals is a bad row: the period of the export begins after the publication. `as_of`:
    the day on which the export was made, see `export_day`. If several tables of a .zip have the same video, the row
    with the most impressions is used, because lifetime totals only grow. A second import of the same file changes
    nothing. `given`: the columns that a person named, see `find_columns`. `only`: the videos to store. By default, the
    videos of a channel that somebody added with a named API key are not stored (docs/keys.md).
    Video ids are public, so this person may have added a channel of somebody else. The person could then see the
    click-through rates that this function imports.

    Raises `LabError` if the file cannot be read, if no row has a click-through rate, or if `as_of` is in the future.
    """
    report = StudioImport(str(path), export_day(path, as_of))
    reach_by_video: dict[str, _Reach] = {}
    repeated = 0
    tables, left_out = read_tables(path, given)
    report.remarks += [f"left out: {sentence}" for sentence in left_out]
    for where, table in tables.items():
        location = f" (in {where.removeprefix(f'{path} > ')})" if len(tables) > 1 else ""
        report.tables += 1
        report.remarks += [remark + location for remark in table.remarks]
        for reach in _read(table, report, location, first_day(where, path)):
            previous = reach_by_video.get(reach.video_id)
            repeated += previous is not None
            if previous is None or previous.impressions <= reach.impressions:
                reach_by_video[reach.video_id] = reach
    if repeated:
        report.remarks.append(
            f"{repeated} rows have a video that another of the {report.tables} tables has too; for each video, "
            "the row with the most impressions was used"
        )
    if not reach_by_video:
        first = f"; line {report.problems[0].line}: {report.problems[0].problem}" if report.problems else ""
        raise LabError(f"none of the {report.rows} videos of {path} has a click-through rate{first}")
    if only is None:
        only = not_of_keys(lab, reach_by_video)
        if count := len(reach_by_video) - len(only):
            report.remarks.append(
                f"{count} videos are in channels that belong to an API key, so their rates were not stored; "
                "`thumblab channel add FILE --name CHANNEL` stores them"
            )
    reach_by_video = {video_id: reach for video_id, reach in reach_by_video.items() if video_id in only}
    report.with_ctr = len(reach_by_video)
    report.video_ids = list(reach_by_video)
    report.shorts = sum(reach.is_short is True for reach in reach_by_video.values())
    with lab.engine.begin() as connection:
        _save(connection, reach_by_video, report)
    report.in_library = in_library(lab, reach_by_video)
    return report


def not_of_keys(lab: Lab, video_ids: Collection[str]) -> set[str]:
    """Return the ids in `video_ids`, without the videos of channels that were added with a named key."""
    of_keys = select(videos.c.video_id).join(channels, channels.c.channel_id == videos.c.channel_id)
    of_keys = of_keys.where(
        videos.c.video_id == any_(literal(list(video_ids), ARRAY(Text))), channels.c.owner.is_not(None)
    )
    with lab.engine.connect() as connection:
        return set(video_ids) - set(connection.scalars(of_keys))


def _read(table: StudioTable, report: StudioImport, location: str, first: date | None) -> Iterator[_Reach]:
    """Yield the good rows of a table. Add the bad rows to `report.problems`.

    `location`: text that names the table in the file. The text is added at the end of each problem. `first`: the first
    day of the table's period, or None if it is not known. If a video was published earlier, its row is not good,
    because it has only a part of the video's impressions.
    """
    first_seen: dict[str, int] = {}
    commas, published = DecimalCommas(table), table.published()
    for row in table.rows:
        report.rows += 1
        if isinstance(row, RowProblem):
            report.problems.append(replace(row, problem=row.problem + location))
            continue
        try:
            on = published[row.line]
            if first is not None and on is not None and on < first:
                raise ValueError(
                    f"the video was published on {on}, and the period of the export begins on {first}, so these are not "
                    "the totals of the video; export the period Lifetime"
                )
            reach = _parse(row, commas, on)
            if reach.video_id in first_seen:
                raise ValueError(f"the video is on line {first_seen[reach.video_id]} already")
        except ValueError as error:
            report.problems.append(RowProblem(row.line, row.texts[VIDEO][:MAX_SHOWN_ID], f"{error}{location}"))
        else:
            first_seen[reach.video_id] = row.line
            yield reach


def in_library(lab: Lab, video_ids: Collection[str]) -> int:
    """Return how many of these videos the lab has collected."""
    with lab.engine.connect() as connection:
        statement = select(func.count()).select_from(videos).where(_is_one_of(videos.c.video_id, video_ids))
        return connection.execute(statement).scalar_one()


def _is_one_of(column: ColumnElement[str], video_ids: Collection[str]) -> ColumnElement[bool]:
    """Return the SQL condition that the column contains one of the ids.

    A .zip may contain more than 65,535 videos, and PostgreSQL takes at most this many parameters. So all ids are passed
    as one array parameter.
    """
    return column == any_(literal(list(video_ids), ARRAY(Text)))


def _save(connection: Connection, reach_by_video: dict[str, _Reach], report: StudioImport) -> None:
    """Store a row for each video in `reach_by_video`, in place of its earlier row. Count the results in `report`.

    If a stored row comes from a newer export than the new row, the stored row is kept.
    """
    # Without the lock, two imports at the same time could store two rows for the same video.
    connection.execute(text("LOCK TABLE video_reach IN SHARE ROW EXCLUSIVE MODE"))
    of_these_videos = (video_reach.c.source == STUDIO) & _is_one_of(video_reach.c.video_id, reach_by_video)
    stored = {row.video_id: row for row in connection.execute(select(video_reach).where(of_these_videos))}
    accepted: list[_Reach] = []
    for video_id, reach in reach_by_video.items():
        previous = stored.get(video_id)
        if previous is None:
            report.new += 1
        elif previous.day > report.as_of:
            report.older += 1
            continue
        elif _Reach(video_id, previous.impressions, previous.click_through_rate, previous.is_short) == reach:
            report.unchanged += 1
            if previous.day == report.as_of:
                continue
        else:
            report.changed += 1
        accepted.append(reach)
    if not accepted:
        return
    replaced = _is_one_of(video_reach.c.video_id, [reach.video_id for reach in accepted])
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
        for reach in accepted
    ]
    connection.execute(insert(video_reach), rows)


def _parse(row: Cells, commas: DecimalCommas, published: date | None) -> _Reach:
    """Parse the cells of a row. Raises `ValueError` if the row cannot be used. The message of the `ValueError` is added
    to `problems`.
    """
    cells = row.texts
    require_video_id(cells[VIDEO])
    impressions = count(cells[IMPRESSIONS], "impressions", commas.of(IMPRESSIONS))
    if impressions == 0:
        raise ValueError("the video has no impressions and therefore no click-through rate")
    percent = number(without_percent(cells[RATE]), "click-through rate", commas.of(RATE))
    if percent > 100:
        raise ValueError(f"click-through rate {cells[RATE][:40]} is outside 0 to 100 %")
    return _Reach(cells[VIDEO], impressions, percent / 100, may_be_short(cells, commas, published))


def export_day(path: Path, as_of: date | None) -> date:
    """Return the day on which the export was made.

    The day is `as_of` if it is given. Without `as_of`, the day is the day of the file's last change (UTC). If the
    file's name has a period that ended earlier, the last day of this period is returned.

    Raises `LabError` if `as_of` is in the future.
    """
    today = datetime.now(UTC).date()
    if as_of is None:
        try:
            changed = datetime.fromtimestamp(path.stat().st_mtime, UTC).date()
        except OSError as error:
            raise LabError(f"{path} cannot be read ({error.strerror}); check the name and your permissions") from None
        # A wrong clock may have given the file a date in the future, so today is used instead of a later date. If a
        # date in the future were stored, all exports before this date would count as older, and would be ignored.
        period = period_of_file(path)
        return min(changed, today) if period is None else min(changed, today, period.last)
    # `today` is the date in UTC. In a time zone ahead of UTC, the local date may be one day later, so one more day is
    # allowed.
    if as_of > today + timedelta(days=1):
        raise LabError(f"an export as of {as_of} cannot have been made yet; give the day on which it was made")
    return as_of
