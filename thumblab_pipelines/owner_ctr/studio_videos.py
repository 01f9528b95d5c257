"""Read the videos of Studio exports: title, date of publication, length and views. Merge the videos of several
exports."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from thumblab_core.given_text import VIDEO_ID, storable, visible
from thumblab_pipelines.owner_ctr.studio import export_day
from thumblab_pipelines.owner_ctr.studio_column_names import DURATION, PUBLISHED, TITLE, VIDEO, VIEWS
from thumblab_pipelines.owner_ctr.studio_columns import TableColumns
from thumblab_pipelines.owner_ctr.studio_format import may_be_short
from thumblab_pipelines.owner_ctr.studio_marks import DecimalCommas
from thumblab_pipelines.owner_ctr.studio_numbers import count, is_nothing, seconds
from thumblab_pipelines.owner_ctr.studio_period import first_day
from thumblab_pipelines.owner_ctr.studio_table import Cells, StudioTable, read_tables

_NEEDED = (TITLE, PUBLISHED, VIEWS)
"""The columns that the lab needs to learn from a video. `read_tables` checks for the columns of `REQUIRED`."""

_LONGEST_TITLE = 200
"""Maximum length of a title on YouTube, in characters. A longer text is not a title."""

_LONGEST_S = 1_000_000
"""Maximum length of a video in seconds. YouTube allows twelve hours and cuts longer streams. A longer video is an
error of the export."""


@dataclass
class ExportedVideo:
    """The facts about one video from all exports.

    `views`: the views since publication, by the day of the export. `in_part`: whether an export counts only the views
    of a period that starts after the publication; these views are not in `views`. `published_later`: whether an export
    gives a date of publication after the day of the export; this date is not in `published`.
    """

    video_id: str
    title: str = ""
    published: date | None = None
    published_later: bool = False
    duration_s: int | None = None
    is_short: bool | None = None
    views: dict[date, int] = field(default_factory=dict)
    in_part: bool = False

    def lacks(self) -> str | None:
        """Return why the lab cannot learn from the video, or None if the lab can learn from it."""
        if self.is_short:
            return "Shorts, or up to three minutes and therefore possibly Shorts"
        if not visible(self.title):
            return "no title that can be read"
        if self.published is None and self.published_later:
            return "published after the day of the export"
        if self.published is None:
            return "no date of publication that can be read"
        if not self.views and self.in_part:
            return "published before the period of the export; export the period Lifetime"
        if not self.views:
            return "no count of views that can be read"
        return None


def read_videos(
    path: Path, as_of: date | None, given: Mapping[str, str], into: dict[str, ExportedVideo]
) -> list[TableColumns]:
    """Read the videos of an export, and add them to `into`, by video id. Return the columns of the export's tables.

    Facts that are read later replace earlier facts, so read older exports first. See `import_studio` for `as_of` and
    `given`. Raises `LabError` if the file has no table that can be read.
    """
    day = export_day(path, as_of)
    tables, _ = read_tables(path, given)
    read = []
    for where, table in tables.items():
        _merge(table, day, first_day(where, path), into)
        columns = table.columns
        missing = tuple(name for name in _NEEDED if name not in columns.at)
        read.append(TableColumns(where, columns.header, columns.at, missing))
    return read


def _merge(table: StudioTable, day: date, first: date | None, into: dict[str, ExportedVideo]) -> None:
    commas, published = DecimalCommas(table), table.published()
    for row in table.rows:
        if not isinstance(row, Cells) or not VIDEO_ID.fullmatch(row.texts[VIDEO]):
            continue
        cells, on = row.texts, published[row.line]
        video = into.setdefault(cells[VIDEO], ExportedVideo(cells[VIDEO]))
        video.title = _title(cells) or video.title
        if on is not None and on <= day:
            video.published = on
        elif on is not None:
            video.published_later = True
        length = seconds(cells.get(DURATION, ""), commas.of(DURATION))
        video.duration_s = round(length) if length and length < _LONGEST_S else video.duration_s
        short = may_be_short(cells, commas, on)
        video.is_short = short if short is not None else video.is_short
        views = _views(cells, commas)
        if views is None:
            continue
        if first is not None and video.published is not None and video.published < first:
            video.in_part = True
        else:
            video.views[day] = max(views, video.views.get(day, 0))


def _title(cells: Mapping[str, str]) -> str:
    title = cells.get(TITLE, "")
    return "" if not storable(title) or len(title) > _LONGEST_TITLE else title


def _views(cells: Mapping[str, str], commas: DecimalCommas) -> int | None:
    cell = cells.get(VIEWS, "")
    try:
        return None if is_nothing(cell) else count(cell, VIEWS, commas.of(VIEWS))
    except ValueError:
        return None
