"""Decide whether the video in a row of a Studio table is a Short."""

from collections.abc import Mapping
from datetime import date

from thumblab_pipelines.owner_ctr.studio_column_names import DURATION, SHOWN_IN_FEED, STAYED, VIEWS, WATCH_HOURS
from thumblab_pipelines.owner_ctr.studio_marks import DecimalCommas
from thumblab_pipelines.owner_ctr.studio_numbers import is_nothing, parsed, seconds
from thumblab_pipelines.videos.records import LONGEST_SHORT_S

FIRST_SHORTS = date(2020, 9, 14)
"""The day on which YouTube announced Shorts. No video that was published earlier is a Short."""


_THREE_MINUTES_SINCE = date(2024, 10, 15)
"""From this day on, Shorts may last three minutes. Earlier Shorts lasted at most one minute."""

_EARLIER_LIMIT_S = 60


def may_be_short(cells: Mapping[str, str], commas: DecimalCommas, published: date | None = None) -> bool | None:
    """Return whether the video is a Short. Return None if the row does not show whether it is a Short.

    If the table has the columns of the Shorts feed, these columns decide: an ordinary video has empty cells or zeros in
    these columns. Without these columns, the length decides, because the table does not show whether a video is
    upright. A video of up to three minutes may be a Short, and counts as a Short.

    Without a length, a video is not a Short if it was `published` before Shorts existed. It is also not a Short if its
    viewers watched it, on average, for longer than a Short could last at that time.
    """
    feed = [cells[name].strip("0.,% ") for name in (SHOWN_IN_FEED, STAYED) if name in cells]
    if feed:
        return not all(map(is_nothing, feed))
    length = seconds(cells.get(DURATION, ""), commas.of(DURATION))
    if length is not None:
        return length <= LONGEST_SHORT_S
    if published is not None and published < FIRST_SHORTS:
        return False
    views = parsed(cells.get(VIEWS, ""), commas.of(VIEWS))
    hours = parsed(cells.get(WATCH_HOURS, ""), commas.of(WATCH_HOURS, counts=False))
    earlier = published is not None and published < _THREE_MINUTES_SINCE
    limit = _EARLIER_LIMIT_S if earlier else LONGEST_SHORT_S
    if views and hours is not None and hours * 3600 / views > limit:
        return False
    return None
