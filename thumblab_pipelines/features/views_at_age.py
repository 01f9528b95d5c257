"""Fill the table `views_at_age` with the views of each video at fixed ages, estimated from its observations."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import delete, insert, select, text

from thumblab_core.database.tables import videos, views_at_age
from thumblab_pipelines.features.fixed_age import FIXED_AGES, Estimate, views_at_ages
from thumblab_pipelines.lab import Lab

_BLOCK = 2_000
"""Number of videos whose observations are held in memory at the same time."""

_VIEW_SERIES = """
SELECT s.video_id,
       array_agg(EXTRACT(EPOCH FROM s.observed_at - v.published_at)::float8 / 3600) AS ages,
       array_agg(s.view_count::float8) AS views,
       array_agg(s.era) AS eras
FROM video_stats s JOIN videos v USING (video_id)
WHERE s.video_id = ANY(:video_ids) AND s.view_count IS NOT NULL
GROUP BY s.video_id
"""


@dataclass(frozen=True)
class ViewsAtAge:
    """A summary of the views at fixed ages in a niche.

    Attributes:
        videos: number of videos in the niche.
        observed_again: number of videos that were observed more than once.
        known: for each fixed age in hours, the number of videos whose views are known.
    """

    videos: int
    observed_again: int
    known: dict[int, int]


def compute_views_at_age(lab: Lab, niche: str) -> ViewsAtAge:
    """Compute the rows of the niche in the table `views_at_age` again, and replace them in one transaction.

    Videos of every format are included. A video gets a row for each of the `FIXED_AGES` that its observations cover.
    The observations cover an age if an observation was made at this age, or if two observations enclose this age
    closely (see `views_at_ages`).
    """
    known = dict.fromkeys(FIXED_AGES, 0)
    observed_again = 0
    of_niche = select(videos.c.video_id).where(videos.c.niche == niche)
    with lab.engine.begin() as connection:
        video_ids = connection.scalars(of_niche.order_by(videos.c.video_id)).all()
        connection.execute(delete(views_at_age).where(views_at_age.c.video_id.in_(of_niche)))
        for start in range(0, len(video_ids), _BLOCK):
            block = {"video_ids": video_ids[start : start + _BLOCK]}
            rows = []
            for video_id, ages, views, eras in connection.execute(text(_VIEW_SERIES), block):
                observed_again += len(ages) > 1
                estimates = views_at_ages(FIXED_AGES, np.array(ages), np.array(views), eras)
                rows += [_row(video_id, estimate) for estimate in estimates]
            if rows:
                connection.execute(insert(views_at_age), rows)
            for row in rows:
                known[row["age_hours"]] += 1
    return ViewsAtAge(len(video_ids), observed_again, known)


def _row(video_id: str, estimate: Estimate) -> dict[str, Any]:
    return {
        "video_id": video_id,
        "age_hours": int(estimate.at),
        "views": estimate.views,
        "era": estimate.era,
        "before_hours": estimate.before,
        "after_hours": estimate.after,
    }
