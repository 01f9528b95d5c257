"""Join predictions with videos: find the candidates that were published, and the views of these videos."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import numpy as np
from sqlalchemy import Connection, text

from thumblab_core.arrays import Float64s
from thumblab_core.predictions import KeptPrediction
from thumblab_pipelines.predictions.matching import ShownPicture, matching_candidate
from thumblab_pipelines.statistics.trend import local_trend
from thumblab_pipelines.videos.versions import first_versions_query

AGE_HOURS = 168
"""The age in hours at which the views of videos are compared: one week."""

LEAST_OTHERS = 3
"""Minimum number of other videos of the channel with known views. With fewer other videos, the trend is not known."""

_SECONDS_PER_DAY = 86_400.0

_VIDEOS = f"""
WITH first AS ({first_versions_query("v.channel_id = ANY(:channels)")})
SELECT v.video_id, v.channel_id, v.published_at, first.sha256, first.phash, a.views, a.era,
       first.until > '-infinity' AS is_first_known,
       first.until >= v.published_at + make_interval(secs => a.after_hours * 3600) AS is_unchanged
FROM videos v
LEFT JOIN first ON first.video_id = v.video_id
LEFT JOIN views_at_age a ON a.video_id = v.video_id AND a.age_hours = :age
WHERE v.channel_id = ANY(:channels) AND v.format = 'video'
ORDER BY v.channel_id, v.published_at, v.video_id
"""  # noqa: S608  (built from constants; values are bound)


@dataclass(frozen=True)
class VideoOutcome:
    """A candidate that was published as the picture of a video.

    `excess`: the log of the video's views at the age of a week, minus the trend of its channel. `excess` is None if the
    views or the trend are not known. `excess` is also None if the video's picture or title changed before the count
    from which the views of the first week were estimated.
    """

    prediction_id: UUID
    position: int
    video_id: str
    excess: float | None


@dataclass(frozen=True)
class _Video:
    video_id: str
    channel_id: str
    published_at: datetime
    picture: ShownPicture
    excess: float | None


def video_outcomes(connection: Connection, predictions: Mapping[str, Sequence[KeptPrediction]]) -> list[VideoOutcome]:
    """Return the candidates that were published, after their prediction, as the first picture of a video.

    `predictions`: the predictions by channel. The video belongs to the channel of the prediction, and its picture shows
    exactly one candidate (`matching_candidate`). Shorts and live videos are left out.
    """
    return [
        VideoOutcome(prediction.prediction_id, candidate.position, video.video_id, video.excess)
        for video in _published(connection, list(predictions))
        for prediction in predictions[video.channel_id]
        if prediction.scored_at < video.published_at
        and (candidate := matching_candidate(prediction.candidates, video.picture)) is not None
    ]


def _published(connection: Connection, channels: Sequence[str]) -> list[_Video]:
    """Return the videos of the channels, except videos whose first picture is not known."""
    rows = connection.execute(text(_VIDEOS), {"channels": list(channels), "age": AGE_HOURS}).all()
    return [
        _Video(
            row.video_id,
            row.channel_id,
            row.published_at,
            ShownPicture(row.sha256, row.phash),
            # The views are interpolated between two counts. If the picture or the title was changed before the later
            # count, the views do not measure the first picture alone.
            float(excess) if row.is_unchanged and np.isfinite(excess) else None,
        )
        for row, excess in zip(rows, _excess(rows), strict=True)
        if row.is_first_known
    ]


def _excess(rows: Sequence[Any]) -> Float64s:
    """Return the log views of each video [n] minus the trend of its channel, or NaN if the views or the trend are not
    known.

    YouTube has changed what it counts as a view. Only views of the same era, which have the same definition, are
    compared. The trend for a video is computed without the views of this video.
    """
    views = np.array([np.nan if row.views is None else max(row.views, 1.0) for row in rows], np.float64)
    channel = np.array([f"{row.channel_id} {row.era}" for row in rows], object)
    days = np.array([row.published_at.timestamp() / _SECONDS_PER_DAY for row in rows], np.float64)
    known = np.isfinite(views)
    if not known.any():
        return np.full(len(rows), np.nan)
    logs = np.log(np.where(known, views, 1.0))
    _, place = np.unique(channel.astype(str), return_inverse=True)
    others = np.bincount(place, known)[place] - 1
    excess = logs - local_trend(channel.astype(str), days, logs, known)
    return np.where(known & (others >= LEAST_OTHERS), excess, np.nan)
