"""One reach report of the YouTube Reporting API as rows; a bad one is named and skipped."""

import csv
import io
import re
from dataclasses import dataclass, field
from datetime import date, datetime

from thumblab_core.errors import LabError
from thumblab_pipelines.owner_ctr.studio_table import VIDEO_ID
from thumblab_pipelines.tables.problems import RowProblem

COLUMNS = ("date", "video_id", "video_thumbnail_impressions", "video_thumbnail_impressions_ctr")
_FRACTION = re.compile(r"[0-9]+(?:\.[0-9]*)?(?:[eE]-?[0-9]{1,3})?")
_DAY = re.compile(r"[0-9]{8}")
_LONGEST_ID = 200
_MOST_ABOVE_ONE = 0.1


@dataclass(frozen=True)
class ReachRow:
    """How often the thumbnail of a video was shown on a day, and the fraction of the impressions that were clicked."""

    video_id: str
    day: date
    impressions: int
    click_through_rate: float


@dataclass
class ReachTable:
    """A report: each of its `lines` is one of `rows`, one of `problems`, or had no impressions."""

    lines: int = 0
    rows: list[ReachRow] = field(default_factory=list)
    problems: list[RowProblem] = field(default_factory=list)
    without_impressions: int = 0


def read_report(name: str, data: bytes) -> ReachTable:
    """The CSV of a report; `name` is what its problems call it. Raises `LabError` when it is no report of reach."""
    try:
        reader = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""))
        header = list(reader.fieldnames or [])
        lines = [(reader.line_num, cells) for cells in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise LabError(f"it is no CSV text ({type(error).__name__}); the next run tries again") from None
    missing = [column for column in COLUMNS if column not in header]
    if missing:
        has = ", ".join(header)[:200] or "none at all"
        raise LabError(f"it lacks the column {', '.join(missing)} and has {has}; the next run tries again")
    table = ReachTable(len(lines))
    seen: set[tuple[str, date]] = set()
    above_one = 0
    for line, cells in lines:
        texts = [(cells.get(column) or "").strip() for column in COLUMNS]
        try:
            row = _row(*texts)
            above_one += row.click_through_rate > 1
            if row.click_through_rate > 1:
                raise ValueError(f"click-through rate {texts[3][:40]} is above 1")
            if (row.video_id, row.day) in seen:
                raise ValueError(f"the video is told twice for {row.day}")
        except ValueError as error:
            table.problems.append(RowProblem(line, texts[1][:_LONGEST_ID], f"{error} ({name})"))
            continue
        seen.add((row.video_id, row.day))
        if row.impressions:
            table.rows.append(row)
        else:
            table.without_impressions += 1
    if above_one > _MOST_ABOVE_ONE * len(lines):
        raise LabError(
            f"{above_one} of its {len(lines)} click-through rates are above 1, so they are not the fractions that YouTube "
            "documents; nothing of it is taken, please report this to the makers of the lab"
        )
    return table


def _row(day: str, video_id: str, impressions: str, rate: str) -> ReachRow:
    """Raises `ValueError` with a sentence."""
    if not VIDEO_ID.fullmatch(video_id):
        raise ValueError(f"{video_id[:40]!r} is no id of a video")
    if not _DAY.fullmatch(day):
        raise ValueError(f"{day[:40]!r} is no date such as 20260131")
    if not (impressions.isascii() and impressions.isdigit() and len(impressions) < 16):
        raise ValueError(f"impressions {impressions[:40]!r} is no count")
    if impressions.strip("0") and not _FRACTION.fullmatch(rate):
        raise ValueError(f"click-through rate {rate[:40]!r} is no fraction")
    fraction = float(rate) if impressions.strip("0") else 0.0  # of no impressions there is none
    return ReachRow(video_id, datetime.strptime(day, "%Y%m%d").date(), int(impressions), fraction)
