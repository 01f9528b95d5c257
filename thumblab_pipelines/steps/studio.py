"""Import YouTube Studio exports: the true click-through rate of one's own videos. A bad row is named and skipped."""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, delete, func, insert, select, text

from thumblab_core.database.tables import video_reach, videos
from thumblab_core.errors import LabError
from thumblab_pipelines.steps.catalogue_rows import RowProblem
from thumblab_pipelines.steps.lab import Lab
from thumblab_pipelines.steps.studio_table import VIDEO_ID, Cells, read_table

STUDIO = "studio"
"""`video_reach.source` of these rows."""

_NUMBER = re.compile(r"(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]+)?")
_NOTHING = {"", "-", "–", "—"}
_LONGEST_ID = 200


@dataclass
class StudioImport:
    """What one export told. Every row is either one of `with_ctr` or one of `problems`.

    `new`, `changed` and `unchanged` compare with the export of the same video that was stored before; `older` counts those
    that are kept as they are, since a newer export was imported already.
    """

    file: str
    as_of: date
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


@dataclass(frozen=True)
class _Reach:
    """Lifetime totals of one video; the rate is a fraction of the impressions."""

    video_id: str
    impressions: int
    click_through_rate: float
    is_short: bool | None


def import_studio(lab: Lab, path: Path, as_of: date | None = None) -> StudioImport:
    """Read an export (`Table data.csv`, or the .zip that holds it) into `video_reach`.

    An export has lifetime totals, so a video keeps one row, its newest. `as_of` is the day that the export was made, by
    default that of the file's last change (UTC). Reading it again changes nothing.

    Raises `LabError` when the file cannot be read, or when no row at all has a click-through rate.
    """
    report = StudioImport(str(path), _day(path, as_of))
    found: dict[str, _Reach] = {}
    first_seen: dict[str, int] = {}
    for row in read_table(path):
        report.rows += 1
        if isinstance(row, RowProblem):
            report.problems.append(row)
            continue
        try:
            reach = _parse(row)
            if reach.video_id in first_seen:
                raise ValueError(f"the video stands on line {first_seen[reach.video_id]} already")
        except ValueError as error:
            report.problems.append(RowProblem(row.line, row.texts["video"][:_LONGEST_ID], str(error)))
        else:
            first_seen[reach.video_id] = row.line
            found[reach.video_id] = reach
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


def in_library(lab: Lab, video_ids: Collection[str]) -> int:
    """How many of the videos the lab has collected."""
    with lab.engine.connect() as connection:
        statement = select(func.count()).select_from(videos).where(videos.c.video_id.in_(list(video_ids)))
        return connection.execute(statement).scalar_one()


def _save(connection: Connection, found: dict[str, _Reach], report: StudioImport) -> None:
    # Two imports at once would each find no row of the other's and leave two of a video.
    connection.execute(text("LOCK TABLE video_reach IN SHARE ROW EXCLUSIVE MODE"))
    of_these = (video_reach.c.source == STUDIO) & video_reach.c.video_id.in_(list(found))
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
    replaced = video_reach.c.video_id.in_([reach.video_id for reach in fresh])
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


def _parse(row: Cells) -> _Reach:
    """Raises `ValueError` with a sentence for the report."""
    cells = row.texts
    if not VIDEO_ID.fullmatch(cells["video"]):
        raise ValueError(f"{cells['video'][:40]!r} is no id of a video (11 letters, digits, - and _)")
    impressions = _number(cells["impressions"], "impressions")
    if not impressions < 2**53 or impressions != int(impressions):
        raise ValueError(f"impressions {cells['impressions'][:40]} is no count")
    if impressions == 0:
        raise ValueError("has no impressions, and so no click-through rate")
    percent = _number(cells["rate"].removesuffix("%").rstrip(), "click-through rate")
    if percent > 100:
        raise ValueError(f"click-through rate {cells['rate'][:40]} lies outside 0 to 100 %")
    # An ordinary video has no figures there, or was shown in the feed of Shorts 0 times.
    feed = [cells[name] for name in ("shown_in_feed", "stayed") if name in cells]
    is_short = any(cell.strip("0.,% ") not in _NOTHING for cell in feed) if feed else None
    return _Reach(cells["video"], int(impressions), percent / 100, is_short)


def _number(cell: str, name: str) -> float:
    """A count or a percentage, with or without commas between thousands."""
    if cell in _NOTHING:
        raise ValueError(f"has no {name}")
    if cell.startswith(("-", "−")) and _NUMBER.fullmatch(cell[1:]):
        raise ValueError(f"{name} {cell[:40]} is negative")
    if not _NUMBER.fullmatch(cell):
        raise ValueError(f"{name} {cell[:40]!r} is not a number")
    return float(cell.replace(",", ""))


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
