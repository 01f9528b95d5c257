"""Read a table of titles and views of many channels, and correct the views for age.

The table has one row for each observation of a video. The videos of the table need no pictures.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from thumblab_core.arrays import Flags, Float64s, Floats, Rows
from thumblab_core.errors import LabError
from thumblab_pipelines.statistics.metrics import numbered
from thumblab_pipelines.statistics.trend import local_trend, publication_days

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = "video_id", "channel_id", "title", "published_at", "views"
_OBSERVED_ON, _OBSERVED_AT = "observed_on", "observed_at"
_TIME_OF_DAY = 0.65
"""The time of day at which the views are assumed to have been observed, as a share of a day.

A table may have only the date of an observation. The value is late in the day: with an earlier time, more videos would
seem to be observed before their publication.
"""
_KNOTS = (0.25, 0.5, 0.65, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0, 6.0, 10.0, 20.0)
"""The ages in days at which the slope of the age curve may change. The age curve gives log views by age."""
_OLDEST, _OUTLIER, _AGE_PENALTY = 25.0, 2.5, 5.0


def read_observations(path: Path) -> pd.DataFrame:
    """Return the observations in a file. A file whose name ends with `.parquet` is read as Parquet. Any other file is
    read as CSV.

    Observations with an empty cell in a needed column are left out. Raises `LabError` if the file cannot be read, or if
    a column is missing.
    """
    import pandas as pd

    try:
        if path.suffix == ".parquet":
            rows = pd.read_parquet(path)
        else:
            rows = pd.read_csv(path, dtype={"video_id": str, "channel_id": str, "title": str})
    except (OSError, ValueError) as error:  # Errors of pyarrow and pandas about the content are ValueErrors.
        raise LabError(f"{path} cannot be read as a table of titles ({str(error)[:200]})") from None
    missing = [name for name in _COLUMNS if name not in rows]
    if _OBSERVED_ON not in rows and _OBSERVED_AT not in rows:
        missing.append(f"{_OBSERVED_AT} (or {_OBSERVED_ON})")
    if missing:
        raise LabError(f"{path} has no column {', '.join(missing)}")
    try:
        rows = rows.assign(views=pd.to_numeric(rows.views))
    except ValueError as error:
        raise LabError(f"{path} cannot be read as a table of titles (views: {error})") from None
    return rows.dropna(subset=[*_COLUMNS, _OBSERVED_AT if _OBSERVED_AT in rows else _OBSERVED_ON])


def without_channels_of(rows: pd.DataFrame, channels: Collection[str], videos: Collection[str]) -> pd.DataFrame:
    """Return the observations, but leave out these channels, and every channel that has one of these videos."""
    known = rows.channel_id.isin(list(channels)) | rows.video_id.isin(list(videos))
    return rows[~rows.channel_id.isin(rows.channel_id[known].unique())]


@dataclass(frozen=True)
class TitleTable:
    """n videos of many channels, sorted by channel and publication time.

    `channel` [n]: the number of the channel. `published` [n]: the time of publication in days since 1970. `age` [n] and
    `views` [n]: the age in days and the log views at the first observation of the video.
    """

    titles: list[str]
    channel: Rows
    published: Float64s
    age: Float64s
    views: Float64s

    @classmethod
    def of(cls, rows: pd.DataFrame) -> Self:
        """Return the videos of a table of observations. The age and views of a video are from its first observation."""
        return cls(*columns_of(sorted_videos(rows)))

    def above_trend(self, target: Floats, known: Flags) -> Float64s:
        """Return `target` [n] of each video minus the local trend of the video's channel.

        The local trend for a video is a weighted mean of `target` over the known videos of the channel. The nearer two
        publications are in time, the larger is the weight.
        """
        return np.asarray(target - local_trend(self.channel, self.published, target, known), np.float64)

    def age_corrected(self, known: Flags) -> Float64s:
        """Return the log views [n] minus the age curve, which gives the effect of age on log views.

        The age curve is a sum of pieces. A piece is 0 up to a certain age, and rises linearly from there on. The
        weights of the pieces are fitted to the known videos by ridge regression. Before the fit, the local trend of the
        channel is subtracted from the log views and from each piece. Without the subtraction, the size and the growth
        of a channel would be mistaken for effects of age.
        """
        pieces = np.maximum(np.clip(self.age, 0, _OLDEST)[:, None] - np.array([0.0, *_KNOTS]), 0.0)
        above = np.clip(self.above_trend(self.views, known)[known], -_OUTLIER, _OUTLIER)
        x = np.column_stack([self.above_trend(piece, known)[known] for piece in pieces.T])
        spread = x.std(axis=0) + 1e-9
        x /= spread
        slopes = np.linalg.solve(x.T @ x + _AGE_PENALTY * np.eye(x.shape[1]), x.T @ above) / spread
        return np.asarray(self.views - pieces @ slopes, np.float64)


def sorted_videos(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the first observation of each video, sorted by channel and publication time.

    The new columns `published` and `observed` are times in days since 1970.
    """
    rows = rows.assign(observed=_observed(rows))
    videos = rows.sort_values(["video_id", "observed"]).drop_duplicates("video_id")
    videos = videos.assign(published=publication_days(videos))
    return videos.sort_values(["channel_id", "published", "video_id"]).reset_index(drop=True)


def columns_of(videos: pd.DataFrame) -> tuple[list[str], Rows, Float64s, Float64s, Float64s]:
    """Return the fields of `TitleTable` for the result of `sorted_videos`."""
    published = videos.published.to_numpy(float)
    views = np.log(np.maximum(videos.views.to_numpy(float), 1.0))
    age = videos.observed.to_numpy(float) - published
    return videos.title.astype(str).tolist(), numbered(videos.channel_id.to_numpy(str))[0], published, age, views


def _observed(rows: pd.DataFrame) -> Float64s:
    import pandas as pd

    exact = _OBSERVED_AT in rows
    moments = pd.to_datetime(rows[_OBSERVED_AT if exact else _OBSERVED_ON], utc=True).to_numpy("datetime64[s]")
    days = moments.astype(np.int64) / 86_400.0
    return np.asarray(days if exact else np.floor(days) + _TIME_OF_DAY, np.float64)
