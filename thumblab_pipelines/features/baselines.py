"""What a channel usually gets: the measure of an outlier."""

from dataclasses import dataclass

from sqlalchemy import delete, insert, text

from thumblab_core.database.tables import LATEST_STATS, channel_baselines
from thumblab_pipelines.checks import CheckResult
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.videos.records import VIDEO

MIN_VIDEOS = 3
"""A median of fewer videos says nothing of a channel."""

ALL_AGES = "all"
"""Beside the bands of the SQL function `age_band`."""

_MOST_SILENT = 0.5

# The age is the one of the view `ref_thumbnails`, which looks these medians up.
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
    WHERE w.niche = :niche AND w.format = :format AND o.view_count IS NOT NULL)) -- others are kept for the training alone
) latest
GROUP BY GROUPING SETS ((channel_id, age_band), (channel_id)) HAVING count(*) >= :least
"""  # noqa: S608  (no value of anybody's goes into it)


@dataclass(frozen=True)
class Baselines:
    """What was found of the niche.

    `channels` with a baseline at any age, `bands`: how many have one in each age band too; `silent`: channels whose
    median video has no views; the smallest and largest median views per hour at any age.
    """

    channels: int
    bands: dict[str, int]
    silent: int
    lowest: float
    highest: float


def compute_baselines(lab: Lab, niche: str) -> Baselines:
    """Replace `channel_baselines` of the niche: medians of the latest counts of each channel's videos that are in the
    library's days, per age band.

    A row for every age band, and for all ages, in which the channel has at least 3 videos with a count. Only videos of
    the format `video`: Shorts and live streams live on other traffic. A median of zero is left out, as nothing can be
    measured by it.
    """
    # After a large import nobody has counted the rows yet, and the planner compares each with all: minutes for seconds.
    with lab.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE videos, video_stats"))
    days = lab.settings.library_days
    parameters = {"niche": niche, "format": VIDEO, "least": MIN_VIDEOS, "all_ages": ALL_AGES, "days": days}
    with lab.engine.begin() as connection:
        found = [dict(row) for row in connection.execute(text(_MEDIANS), parameters).mappings()]
        rows = [row for row in found if row["median_views"] > 0]
        connection.execute(delete(channel_baselines).where(channel_baselines.c.niche == niche))
        if rows:
            connection.execute(insert(channel_baselines), [{**row, "niche": niche} for row in rows])
    overall = [row["median_views_per_hour"] for row in rows if row["age_band"] == ALL_AGES]
    banded = [row["age_band"] for row in rows if row["age_band"] != ALL_AGES]
    return Baselines(
        channels=len(overall),
        bands={band: banded.count(band) for band in sorted(set(banded))},
        silent=sum(row["age_band"] == ALL_AGES for row in found) - len(overall),
        lowest=min(overall, default=0.0),
        highest=max(overall, default=0.0),
    )


def check_baselines(found: Baselines) -> list[CheckResult]:
    """A few channels that nobody watches are the way of the world; more of them than others is a failed collection."""
    explanation = (
        f"{found.channels} channels, {found.lowest:.1f} to {found.highest:.1f} views per hour; "
        f"{found.silent} more whose median video has no views"
    )
    return [CheckResult("positive", found.silent <= (found.channels + found.silent) * _MOST_SILENT, explanation)]
