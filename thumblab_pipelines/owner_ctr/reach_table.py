"""Read a reach report of the YouTube Reporting API. A bad row is reported and skipped."""

import csv
import io
import re
from dataclasses import dataclass, field
from datetime import date, datetime

from thumblab_core.errors import LabError
from thumblab_pipelines.owner_ctr.video_ids import MAX_SHOWN_ID, require_video_id
from thumblab_pipelines.tables.problems import RowProblem

COLUMNS = ("date", "video_id", "video_thumbnail_impressions", "video_thumbnail_impressions_ctr")
_FRACTION = re.compile(r"[0-9]+(?:\.[0-9]*)?(?:[eE]-?[0-9]{1,3})?")
_DAY = re.compile(r"[0-9]{8}")

_MAX_SHARE_ABOVE_ONE = 0.1
"""Maximum share of click-through rates above 1 in a report. If the share is larger, the whole report is refused.

The rates of such a report are probably percentages and not fractions.
"""


@dataclass(frozen=True)
class ReachRow:
    """The impressions of a video's thumbnail on one day.

    `click_through_rate` is the fraction of the impressions that were clicked.
    """

    video_id: str
    day: date
    impressions: int
    click_through_rate: float


@dataclass
class ReachTable:
    """The content of a report.

    `lines`: number of rows in the file. Each row is in `rows`, is in `problems`, or is counted in
    `without_impressions`.
    """

    lines: int = 0
    rows: list[ReachRow] = field(default_factory=list)
    problems: list[RowProblem] = field(default_factory=list)
    without_impressions: int = 0


def read_report(name: str, data: bytes) -> ReachTable:
    """Read the CSV of a report. `name`: the name of the report in the sentences of `problems`.

    Raises `LabError` if the data is not a reach report.
    """
    try:
        reader = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""))
        header = list(reader.fieldnames or [])
        lines = [(reader.line_num, cells) for cells in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise LabError(f"the file is not CSV text ({type(error).__name__}); the next run reads it again") from None
    missing = [column for column in COLUMNS if column not in header]
    if missing:
        columns = ", ".join(header)[:200] or "none"
        raise LabError(
            f"the file lacks the column {', '.join(missing)}; its columns: {columns}; the next run reads it again"
        )
    table = ReachTable(len(lines))
    seen: set[tuple[str, date]] = set()
    above_one = 0
    for line, cells in lines:
        texts = [(cells.get(column) or "").strip() for column in COLUMNS]
        try:
            row = _parse_row(*texts)
            above_one += row.click_through_rate > 1
            if row.click_through_rate > 1:
                raise ValueError(f"click-through rate {texts[3][:40]} is above 1")
            if (row.video_id, row.day) in seen:
                raise ValueError(f"the video has a second row for {row.day}")
        except ValueError as error:
            table.problems.append(RowProblem(line, texts[1][:MAX_SHOWN_ID], f"{error} ({name})"))
            continue
        seen.add((row.video_id, row.day))
        if row.impressions:
            table.rows.append(row)
        else:
            table.without_impressions += 1
    if above_one > _MAX_SHARE_ABOVE_ONE * len(lines):
        raise LabError(
            f"{above_one} of the {len(lines)} click-through rates in the report are above 1, but YouTube documents them "
            "as fractions; nothing of the report was imported. Please tell the makers of the lab"
        )
    return table


def _parse_row(day: str, video_id: str, impressions: str, rate: str) -> ReachRow:
    """Parse the cells of a row. Raises `ValueError` if a cell cannot be read. The message of the `ValueError` is added
    to `problems`.
    """
    require_video_id(video_id)
    if not _DAY.fullmatch(day):
        raise ValueError(f"{day[:40]!r} is not a date such as 20260131")
    if not (impressions.isascii() and impressions.isdigit() and len(impressions) < 16):
        raise ValueError(f"impressions {impressions[:40]!r} is not a count")
    if impressions.strip("0") and not _FRACTION.fullmatch(rate):
        raise ValueError(f"click-through rate {rate[:40]!r} is not a fraction such as 0.053")
    fraction = float(rate) if impressions.strip("0") else 0.0  # Without impressions, the cell of the rate may be empty.
    return ReachRow(video_id, datetime.strptime(day, "%Y%m%d").date(), int(impressions), fraction)
