"""What a channel usually gets: the measure of an outlier."""

from dataclasses import dataclass

from sqlalchemy import delete, insert, text

from thumblab_core.database.tables import LATEST_STATS, channel_baselines
from thumblab_pipelines.steps.lab import Lab
from thumblab_pipelines.steps.verdict import Verdict

MIN_VIDEOS = 3
"""A median of fewer videos says nothing of a channel."""

_MEDIANS = f"""
SELECT v.channel_id, count(*) AS video_count,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY s.view_count) AS median_views,
       percentile_cont(0.5) WITHIN GROUP (
           ORDER BY s.view_count / GREATEST(EXTRACT(EPOCH FROM s.observed_at - v.published_at) / 3600.0, 1.0)
       ) AS median_views_per_hour
FROM videos v JOIN ({LATEST_STATS}) s USING (video_id)
WHERE v.niche = :niche
GROUP BY v.channel_id HAVING count(*) >= :least
"""  # noqa: S608  (no value of anybody's goes into it)


@dataclass(frozen=True)
class Baselines:
    """Channels of the niche with a baseline, and the smallest and largest median views per hour among them."""

    channels: int
    lowest: float
    highest: float


def compute_baselines(lab: Lab, niche: str) -> Baselines:
    """Replace `channel_baselines` of the niche: per channel of at least 3 videos, the medians of its latest counts."""
    with lab.engine.begin() as connection:
        found = connection.execute(text(_MEDIANS), {"niche": niche, "least": MIN_VIDEOS})
        rows = [dict(row) for row in found.mappings()]
        connection.execute(delete(channel_baselines).where(channel_baselines.c.niche == niche))
        if rows:
            connection.execute(insert(channel_baselines), [{**row, "niche": niche} for row in rows])
    medians = [row["median_views_per_hour"] for row in rows]
    return Baselines(len(rows), min(medians, default=0.0), max(medians, default=0.0))


def judge_baselines(found: Baselines) -> list[Verdict]:
    """A median of zero would make every video of the channel an outlier without measure."""
    explanation = f"{found.channels} channels, {found.lowest:.1f} to {found.highest:.1f} views per hour"
    return [Verdict("positive", found.channels == 0 or found.lowest > 0, explanation)]
