"""Compute channel baselines: the median views of a channel's videos.

A video with at least twice the views of this baseline can be a winner.
"""

from dataclasses import dataclass

from sqlalchemy import insert, select, text

from thumblab_core.database.tables import LATEST_STATS, channel_baselines
from thumblab_pipelines.checks import CheckResult
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.videos.records import VIDEO

MIN_VIDEOS = 3
"""A channel has a baseline only if it has at least this number of videos."""

ALL_AGES = "all"
"""The value of the column `age_band` that stands for all ages. The SQL function `age_band` defines all other values."""

_MOST_SILENT = 0.5
"""Maximum accepted share of channels whose median views are zero. If the share is larger, the asset check fails."""

# The SQL view `ref_thumbnails` compares videos with these medians. So this query must compute the ages of videos in the
# same way as the view.
_MEDIANS = f"""
SELECT channel_id, COALESCE(age_band, :all_ages) AS age_band, count(*) AS video_count,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY view_count) AS median_views,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY view_count / age_hours) AS median_views_per_hour
FROM (
  SELECT v.channel_id, s.view_count, a.age_hours, age_band(a.age_hours) AS age_band
  FROM videos v JOIN ({LATEST_STATS}) s USING (video_id)
  CROSS JOIN LATERAL (
    SELECT GREATEST(EXTRACT(EPOCH FROM s.observed_at - v.published_at) / 3600.0, 1.0)::float AS age_hours
  ) a
  WHERE v.niche = :niche AND v.format = :format AND (v.source <> 'youtube' OR v.collected_at > (
    SELECT max(o.observed_at) - make_interval(days => :days) FROM video_stats o JOIN videos w USING (video_id)
    WHERE w.niche = :niche AND w.format = :format AND o.view_count IS NOT NULL)) -- other videos are for training only
) latest
GROUP BY GROUPING SETS ((channel_id, age_band), (channel_id)) HAVING count(*) >= :least
"""  # noqa: S608  (values are passed as parameters)

_DELETE = """
DELETE FROM channel_baselines b
USING unnest(CAST(:channels AS varchar[]), CAST(:bands AS varchar[])) AS outdated (channel_id, age_band)
WHERE b.niche = :niche AND b.channel_id = outdated.channel_id AND b.age_band = outdated.age_band
"""


@dataclass(frozen=True)
class Baselines:
    """A summary of the baselines of a niche.

    Attributes:
        channels: number of channels with a baseline over all ages.
        bands: number of channels with a baseline, for each age band.
        silent: number of channels whose median views are zero, so that they have no baseline.
        lowest, highest: the smallest and largest median views per hour over all ages.
    """

    channels: int
    bands: dict[str, int]
    silent: int
    lowest: float
    highest: float


def compute_baselines(lab: Lab, niche: str) -> Baselines:
    """Compute the baselines of a niche, and write the changed rows of `channel_baselines`.

    A row has the medians of a channel in one age band or over all ages. The medians are computed from the latest count
    of each video. Each row needs at least 3 videos of the channel. Videos from YouTube are used only if they were
    collected at most `THUMBLAB_LIBRARY_DAYS` days before the newest observation of the niche. Only the format `video`
    is used, because Shorts and live streams get their views in other ways. A median of zero is not stored, because
    views are divided by the median.
    """
    # After a large import, PostgreSQL's query planner has no statistics of the new rows. Without ANALYZE, the planner
    # would choose nested loops, which take minutes instead of seconds.
    with lab.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE videos, video_stats"))
    days = lab.settings.library_days
    parameters = {"niche": niche, "format": VIDEO, "least": MIN_VIDEOS, "all_ages": ALL_AGES, "days": days}
    with lab.engine.begin() as connection:
        medians = [dict(row) for row in connection.execute(text(_MEDIANS), parameters).mappings()]
        rows = [row for row in medians if row["median_views"] > 0]
        columns = [column.name for column in channel_baselines.columns]
        stored = {
            tuple(row)
            for row in connection.execute(
                select(*(channel_baselines.c[name] for name in columns)).where(channel_baselines.c.niche == niche)
            )
        }
        wanted = {tuple({**row, "niche": niche}[name] for name in columns) for row in rows}
        # Only changed rows are written, because most channels have no new counts between two runs.
        place = [columns.index(name) for name in ("channel_id", "age_band")]
        if outdated := [tuple(row[column] for column in place) for row in stored - wanted]:
            # The keys are passed as two arrays. A parameter for each key could exceed PostgreSQL's limit of parameters.
            channel_ids, bands = zip(*outdated, strict=True)
            parameters = {"niche": niche, "channels": list(channel_ids), "bands": list(bands)}
            connection.execute(text(_DELETE), parameters)
        if new := [dict(zip(columns, row, strict=True)) for row in wanted - stored]:
            connection.execute(insert(channel_baselines), new)
    overall = [row["median_views_per_hour"] for row in rows if row["age_band"] == ALL_AGES]
    banded = [row["age_band"] for row in rows if row["age_band"] != ALL_AGES]
    return Baselines(
        channels=len(overall),
        bands={band: banded.count(band) for band in sorted(set(banded))},
        silent=sum(row["age_band"] == ALL_AGES for row in medians) - len(overall),
        lowest=min(overall, default=0.0),
        highest=max(overall, default=0.0),
    )


def check_baselines(baselines: Baselines) -> list[CheckResult]:
    """Check that at most half of the channels have median views of zero.

    A few channels with median views of zero are normal. If more than half of the channels have median views of zero,
    the collection of view counts has probably failed.
    """
    explanation = (
        f"{baselines.channels} channels, {baselines.lowest:.1f} to {baselines.highest:.1f} views per hour; "
        f"{baselines.silent} more whose median video has no views"
    )
    most = (baselines.channels + baselines.silent) * _MOST_SILENT
    figures = {"channels": baselines.channels, "channels_without_views": baselines.silent}
    return [CheckResult("positive", baselines.silent <= most, explanation, figures=figures)]
