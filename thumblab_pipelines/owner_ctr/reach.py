"""Import the reach of a channel's videos from the YouTube Reporting API, signed in as the owner of the channel.

The reach of a video has two numbers: the impressions of its thumbnail, and the share of these impressions that were
clicked. YouTube makes one report of the reach for each day. Reports that are already stored are not downloaded again.
"""

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
from thumblab_pipelines.owner_ctr.studio import in_library, not_of_keys
from thumblab_pipelines.progress import Progress, silent
from thumblab_pipelines.tables.problems import RowProblem
from thumblab_pipelines.youtube.errors import ErrorKind, YouTubeError

REACH = "reach"
"""Value of the column `video_reach.source` for rows from the Reporting API."""

_MAX_SKIPPED_SHARE = 0.01
"""Maximum share of skipped rows. If the share is larger, the check `readable` fails."""

_MIN_IMPRESSIONS = 1_000
"""Minimum number of impressions for judging the click-through rate. With fewer impressions, the check `plausible`
passes."""

_MAX_CLICK_THROUGH_RATE = 0.5
"""Maximum click-through rate of all impressions. Above this rate, the check `plausible` fails."""


@dataclass
class ReachImport:
    """The result of one import.

    `reports`: number of reports that this import stored. `corrected`: number of stored reports that replaced an older
    report of the same day. `note`: why no report was imported. `note` is empty if a report was imported. `refused`: a
    sentence for each report that could not be read; the next run tries these reports again. `remarks`: a sentence for
    each list from YouTube that was not read to its last page, and a sentence about videos whose reach was not stored.
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
    """Create the reporting job if there is none, and import every new report. The rows of a report are stored together
    or not at all. The file of the report is not stored.

    The reach of videos in channels that belong to an API key is not stored, see `import_studio`.

    Raises `LabError` if the settings name no sign-in file, if YouTube refuses the sign-in or a call, or if YouTube
    cannot be reached. Also raises `LabError` if there are new reports but no new report can be read.
    """
    result = ReachImport()
    video_ids: set[str] = set()
    of_keys: set[str] = set()
    days: set[date] = set()
    with ReachReports.connect(lab.settings) as client:
        job = client.ensure_job()
        result.job_is_new = job.new
        available = client.reports(job)
        result.remarks = client.remarks
        new_reports = _new_reports(lab, available)
        for done, report in enumerate(new_reports):
            progress("reading reports", done, len(new_reports))
            try:
                table = read_report(_name_of(report), client.download(report))
            except LabError as error:
                if isinstance(error, YouTubeError) and error.kind is not ErrorKind.NOT_FOUND:
                    raise
                result.refused.append(f"{_name_of(report)}: {error}")
                continue
            stored_ids = not_of_keys(lab, {row.video_id for row in table.rows})
            of_keys |= {row.video_id for row in table.rows} - stored_ids
            rows = [row for row in table.rows if row.video_id in stored_ids]
            with lab.engine.begin() as connection:
                _save(connection, report, rows, result)
            result.rows += table.lines
            result.without_impressions += table.without_impressions
            result.problems += table.problems
            video_ids |= stored_ids
            days |= {row.day for row in rows}
    if of_keys:
        result.remarks.append(
            f"{len(of_keys)} videos are in channels that belong to an API key, so their reach was not stored; after "
            "`thumblab channel give CHANNEL --lab`, the reach of later reports is stored"
        )
    if result.refused and not result.reports:
        raise LabError(result.refused[0])
    if not available:
        result.note = (
            f"YouTube has made no report yet. The reporting job was created at {job.created_at:%Y-%m-%d %H:%M} UTC; the "
            "first report comes up to 48 hours later. Run this again then."
        )
    elif not new_reports:
        result.note = f"All {len(available)} reports that YouTube has are already imported."
    result.first_day, result.last_day = (min(days), max(days)) if days else (None, None)
    result.videos, result.in_library = len(video_ids), in_library(lab, video_ids)
    return result


def check_reach(result: ReachImport) -> list[CheckResult]:
    """Check that the reports and nearly all of their rows could be read, and that the click-through rate is plausible.

    The click-through rate is the number of clicks divided by the number of impressions, over all reports.
    """
    readable = len(result.problems) <= _MAX_SKIPPED_SHARE * result.rows and not result.refused
    rate = result.clicks / result.impressions if result.impressions else 0.0
    skipped = f"{len(result.problems)} of {result.rows} rows skipped, {len(result.refused)} reports refused"
    first = next(iter([*result.refused, *(problem.problem for problem in result.problems)]), "")
    return [
        CheckResult(
            "readable",
            readable,
            skipped + (f"; the first: {first}" if first else ""),
            figures={"rows": result.rows, "rows_skipped": len(result.problems), "reports_refused": len(result.refused)},
        ),
        CheckResult(
            "plausible",
            result.impressions < _MIN_IMPRESSIONS or rate <= _MAX_CLICK_THROUGH_RATE,
            f"{rate:.2%} of {result.impressions:,} impressions were clicked",
            figures={"impressions": result.impressions, "click_through_rate": rate},
        ),
    ]


def _new_reports(lab: Lab, available: Sequence[Report]) -> list[Report]:
    """Return the reports to import, in the order in which YouTube made them.

    For each job and day, only the newest report is returned. The newest report is left out if the lab has already
    stored it, or has stored a newer report of the same job and day.
    """
    with lab.engine.connect() as connection:
        stored_ids = set(connection.scalars(select(reach_reports.c.report_id)))
        newest_stored = {
            (row.job_id, row.starts_at, row.ends_at): row.created_at
            for row in connection.execute(select(reach_reports).order_by(reach_reports.c.created_at))
        }
    new_reports = []
    for period, reports in groupby(sorted(available, key=_period), key=_period):
        report = max(reports, key=lambda report: report.created_at)
        outdated = period in newest_stored and newest_stored[period] > report.created_at
        if report.report_id not in stored_ids and not outdated:
            new_reports.append(report)
    return sorted(new_reports, key=lambda report: report.created_at)


def _name_of(report: Report) -> str:
    return f"report {report.report_id} of {report.starts_at:%Y-%m-%d}"


def _period(report: Report) -> tuple[str, datetime, datetime]:
    return report.job_id, report.starts_at, report.ends_at


def _save(connection: Connection, report: Report, rows: Sequence[ReachRow], result: ReachImport) -> None:
    """Store a report, and count it in `result`. Earlier reports of the same period are deleted.

    Do nothing if another run has meanwhile stored this report, or a newer report of the same period.
    """
    connection.execute(text("LOCK TABLE reach_reports IN SHARE ROW EXCLUSIVE MODE"))
    same_period = (
        (reach_reports.c.job_id == report.job_id)
        & (reach_reports.c.starts_at == report.starts_at)
        & (reach_reports.c.ends_at == report.ends_at)
    )
    replaced = connection.execute(select(reach_reports).where(same_period)).all()
    if any(row.created_at > report.created_at or row.report_id == report.report_id for row in replaced):
        return
    now = datetime.now(UTC)
    columns = ("report_id", "job_id", "starts_at", "ends_at", "created_at")
    values = {name: getattr(report, name) for name in columns}
    connection.execute(insert(reach_reports).values(**values, imported_at=now))
    days = {row.day for row in rows}
    on_these_days = (video_reach.c.source == REACH) & video_reach.c.day.in_(days)
    known_days = set(connection.scalars(select(video_reach.c.day).where(on_these_days).distinct()))
    # All rows of the replaced reports are deleted first. If the new report has no row for a video of a replaced report,
    # the video has no reach on this day.
    connection.execute(delete(video_reach).where(video_reach.c.report_id.in_([row.report_id for row in replaced])))
    if rows:
        statement = insert(video_reach)
        created_at_of_stored = select(reach_reports.c.created_at).where(
            reach_reports.c.report_id == video_reach.c.report_id
        )
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["video_id", "source", "day"],
                set_={
                    name: statement.excluded[name]
                    for name in ("impressions", "click_through_rate", "report_id", "imported_at")
                },
                # A new reporting job also reports days that an earlier job has reported. So the video may already have
                # a row for this day. The row of the report that was created later is kept.
                where=func.coalesce(created_at_of_stored.scalar_subquery(), report.created_at) <= report.created_at,
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
    result.reports += 1
    result.corrected += bool(replaced)
    result.new_days += len(days - known_days)
    result.impressions += sum(row.impressions for row in rows)
    result.clicks += sum(row.impressions * row.click_through_rate for row in rows)
