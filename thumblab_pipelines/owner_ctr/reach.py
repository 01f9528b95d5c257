"""Import the reach of the owner's own videos, day by day, from the YouTube Reporting API. Nothing is read twice."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import groupby

from sqlalchemy import Connection, delete, func, select, text
from sqlalchemy.dialects.postgresql import insert

from thumblab_core.database.tables import reach_reports, video_reach
from thumblab_core.errors import LabError
from thumblab_pipelines.checks import CheckResult
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.owner_ctr.reach_api.client import ReachReports, Report
from thumblab_pipelines.owner_ctr.reach_table import ReachRow, read_report
from thumblab_pipelines.owner_ctr.studio import in_library
from thumblab_pipelines.progress import Progress, silent
from thumblab_pipelines.tables.problems import RowProblem
from thumblab_pipelines.youtube.errors import Trouble, YouTubeError

REACH = "reach"
"""`video_reach.source` of these rows."""

_MOST_SKIPPED = 0.01
_ENOUGH = 1_000


@dataclass
class ReachImport:
    """What one run brought. `corrected` counts reports of a day that was known already; `note` says why nothing came.

    `refused` has a sentence for each report that could not be read at all: it is tried again by the next run. `remarks` name
    each list that was left before its end, since YouTube did not end it.
    """

    reports: int = 0
    corrected: int = 0
    rows: int = 0
    without_impressions: int = 0
    new_days: int = 0
    first_day: date | None = None
    last_day: date | None = None
    videos: int = 0
    in_library: int = 0
    impressions: int = 0
    clicks: float = 0.0
    job_is_new: bool = False
    note: str = ""
    problems: list[RowProblem] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def import_reach(lab: Lab, progress: Progress = silent) -> ReachImport:
    """Place the reporting job if there is none, and read every report that is new. Each is stored whole or not at all.

    Raises `LabError` when there is no sign-in, when YouTube refuses it, and when not one of the new reports could be read.
    """
    found = ReachImport()
    video_ids: set[str] = set()
    days: set[date] = set()
    with ReachReports.connect(lab.settings) as client:
        job = client.ensure_job()
        found.job_is_new = job.new
        listed = client.reports(job)
        found.remarks = client.remarks
        wanted = _unread(lab, listed)
        for done, report in enumerate(wanted):
            progress("reading reports", done, len(wanted))
            try:
                table = read_report(_called(report), client.download(report))
            except LabError as error:
                if isinstance(error, YouTubeError) and error.trouble is not Trouble.NOT_FOUND:
                    raise
                found.refused.append(f"{_called(report)}: {error}")
                continue
            with lab.engine.begin() as connection:
                _save(connection, report, table.rows, found)
            found.rows += table.lines
            found.without_impressions += table.without_impressions
            found.problems += table.problems
            video_ids |= {row.video_id for row in table.rows}
            days |= {row.day for row in table.rows}
    if found.refused and not found.reports:
        raise LabError(found.refused[0])
    if not listed:
        found.note = (
            f"YouTube has made no report yet. The job for it was placed at {job.created_at:%Y-%m-%d %H:%M} UTC; the first "
            "report comes up to 48 hours later. Run this again then."
        )
    elif not wanted:
        found.note = f"All {len(listed)} reports that YouTube has are imported already."
    found.first_day, found.last_day = (min(days), max(days)) if days else (None, None)
    found.videos, found.in_library = len(video_ids), in_library(lab, video_ids)
    return found


def check_reach(found: ReachImport) -> list[CheckResult]:
    """Whether the reports could be read, and whether their rates are fractions as documented."""
    read = len(found.problems) <= _MOST_SKIPPED * found.rows and not found.refused
    rate = found.clicks / found.impressions if found.impressions else 0.0
    skipped = f"{len(found.problems)} of {found.rows} rows skipped, {len(found.refused)} reports refused"
    first = next(iter([*found.refused, *(p.problem for p in found.problems)]), "")
    return [
        CheckResult("readable", read, skipped + (f"; the first: {first}" if first else "")),
        CheckResult(
            "plausible",
            found.impressions < _ENOUGH or rate <= 0.5,
            f"{rate:.2%} of {found.impressions:,} impressions were clicked",
        ),
    ]


def _unread(lab: Lab, listed: Sequence[Report]) -> list[Report]:
    """The newest report of each day, where it is not stored yet, the oldest first."""
    with lab.engine.connect() as connection:
        known = set(connection.scalars(select(reach_reports.c.report_id)))
        newest = {
            (row.job_id, row.starts_at, row.ends_at): row.created_at
            for row in connection.execute(select(reach_reports).order_by(reach_reports.c.created_at))
        }
    wanted = []
    for period, of_day in groupby(sorted(listed, key=_period), key=_period):
        report = max(of_day, key=lambda report: report.created_at)
        if report.report_id not in known and not (period in newest and newest[period] > report.created_at):
            wanted.append(report)
    return sorted(wanted, key=lambda report: report.created_at)


def _called(report: Report) -> str:
    return f"report {report.report_id} of {report.starts_at:%Y-%m-%d}"


def _period(report: Report) -> tuple[str, datetime, datetime]:
    return report.job_id, report.starts_at, report.ends_at


def _save(connection: Connection, report: Report, rows: Sequence[ReachRow], found: ReachImport) -> None:
    """Put the report in the place of those that it corrects. What another run has stored meanwhile is left."""
    connection.execute(text("LOCK TABLE reach_reports IN SHARE ROW EXCLUSIVE MODE"))
    same_day = (
        (reach_reports.c.job_id == report.job_id)
        & (reach_reports.c.starts_at == report.starts_at)
        & (reach_reports.c.ends_at == report.ends_at)
    )
    before = connection.execute(select(reach_reports).where(same_day)).all()
    if any(row.created_at > report.created_at or row.report_id == report.report_id for row in before):
        return
    now = datetime.now(UTC)
    facts = ("report_id", "job_id", "starts_at", "ends_at", "created_at")
    values = {name: getattr(report, name) for name in facts}
    connection.execute(insert(reach_reports).values(**values, imported_at=now))
    days = {row.day for row in rows}
    of_days = (video_reach.c.source == REACH) & video_reach.c.day.in_(days)
    known_days = set(connection.scalars(select(video_reach.c.day).where(of_days).distinct()))
    # A video that the correction no longer names has no reach on that day.
    connection.execute(delete(video_reach).where(video_reach.c.report_id.in_([row.report_id for row in before])))
    if rows:
        statement = insert(video_reach)
        of_stored = select(reach_reports.c.created_at).where(reach_reports.c.report_id == video_reach.c.report_id)
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["video_id", "source", "day"],
                set_={
                    name: statement.excluded[name]
                    for name in ("impressions", "click_through_rate", "report_id", "imported_at")
                },
                # A job that was placed anew tells days that an earlier one has told: the later word counts.
                where=func.coalesce(of_stored.scalar_subquery(), report.created_at) <= report.created_at,
            ),
            [
                {
                    "video_id": row.video_id,
                    "source": REACH,
                    "day": row.day,
                    "impressions": row.impressions,
                    "click_through_rate": row.click_through_rate,
                    "report_id": report.report_id,
                    "imported_at": now,
                }
                for row in rows
            ],
        )
    found.reports += 1
    found.corrected += bool(before)
    found.new_days += len(days - known_days)
    found.impressions += sum(row.impressions for row in rows)
    found.clicks += sum(row.impressions * row.click_through_rate for row in rows)
