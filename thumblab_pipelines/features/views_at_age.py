"""Fill the table `views_at_age` with the views of each video at fixed ages, estimated from its observations.

Only videos whose counts changed are estimated again. A niche may have a hundred thousand videos, and few of them are
observed in one day.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import delete, text
from sqlalchemy.dialects.postgresql import insert

from thumblab_core.database.tables import view_histories, views_at_age
from thumblab_pipelines.features.fixed_age import FIXED_AGES, Estimate, views_at_ages
from thumblab_pipelines.lab import Lab

_BLOCK = 2_000
"""Number of videos whose observations are held in memory at the same time."""

_VERSION = 1
"""Version of the method, which is part of each digest. Raise this number if the method computes other estimates from
the same counts."""

_CHANGED = """
SELECT h.video_id, h.counts, h.digest
FROM (SELECT v.video_id, count(s.view_count) AS counts,
             hashtextextended(concat_ws(';', CAST(:ages AS text), extract(epoch FROM v.published_at), string_agg(
               concat_ws(':', extract(epoch FROM s.observed_at), s.view_count, s.era), ',' ORDER BY s.observed_at)),
               :version) AS digest
      FROM videos v LEFT JOIN video_stats s ON s.video_id = v.video_id AND s.view_count IS NOT NULL
      WHERE v.niche = :niche GROUP BY v.video_id) h
LEFT JOIN view_histories k ON k.video_id = h.video_id
WHERE k.digest IS DISTINCT FROM h.digest ORDER BY h.video_id
"""

_COUNTED = """
SELECT count(*), count(*) FILTER (WHERE h.counts > 1)
FROM videos v LEFT JOIN view_histories h USING (video_id) WHERE v.niche = :niche
"""
_KNOWN = """
SELECT a.age_hours, count(*) FROM views_at_age a JOIN videos v USING (video_id) WHERE v.niche = :niche GROUP BY 1
"""

_VIEW_SERIES = """
SELECT s.video_id,
       array_agg(EXTRACT(EPOCH FROM s.observed_at - v.published_at)::float8 / 3600) AS ages,
       array_agg(s.view_count::float8) AS views,
       array_agg(s.era) AS eras
FROM video_stats s JOIN videos v USING (video_id)
WHERE s.video_id = ANY(:video_ids) AND s.view_count IS NOT NULL
GROUP BY s.video_id
"""

_ALIVE = "SELECT video_id FROM videos WHERE video_id = ANY(:video_ids) ORDER BY video_id FOR KEY SHARE"


@dataclass(frozen=True)
class ViewsAtAge:
    """A summary of the views at fixed ages in a niche.

    Attributes:
        videos: number of videos in the niche.
        observed_again: number of videos that were observed more than once.
        known: for each fixed age in hours, the number of videos whose views are known.
        estimated: number of videos that this call estimated, because their counts were new or had changed.
    """

    videos: int
    observed_again: int
    known: dict[int, int]
    estimated: int


def compute_views_at_age(lab: Lab, niche: str) -> ViewsAtAge:
    """Estimate the views at fixed ages for videos whose counts changed, and replace their rows in one transaction.

    Videos of every format are included. A video gets a row for each of the `FIXED_AGES` that its observations cover.
    The observations cover an age if an observation was made at this age, or if two observations enclose this age
    closely (see `views_at_ages`). The table `view_histories` keeps a digest of the counts from which the rows of each
    video were estimated. A video with the same digest keeps its rows.
    """
    with lab.engine.begin() as connection:
        changed = connection.execute(
            text(_CHANGED), {"niche": niche, "version": _VERSION, "ages": str(FIXED_AGES)}
        ).all()
        for start in range(0, len(changed), _BLOCK):
            block = changed[start : start + _BLOCK]
            # Some of these videos may have been deleted since `changed` was read. This query locks the remaining
            # videos, so that they cannot be deleted before the commit.
            ids = list(connection.scalars(text(_ALIVE), {"video_ids": [video.video_id for video in block]}))
            alive = set(ids)
            block = [video for video in block if video.video_id in alive]
            if not block:
                continue
            rows = []
            for video_id, ages, views, eras in connection.execute(text(_VIEW_SERIES), {"video_ids": ids}):
                estimates = views_at_ages(FIXED_AGES, np.array(ages), np.array(views), eras)
                rows += [_row(video_id, estimate) for estimate in estimates]
            connection.execute(delete(views_at_age).where(views_at_age.c.video_id.in_(ids)))
            if rows:
                connection.execute(insert(views_at_age), rows)
            statement = insert(view_histories)
            fields = {name: statement.excluded[name] for name in ("counts", "digest")}
            connection.execute(
                statement.on_conflict_do_update(index_elements=["video_id"], set_=fields),
                [dict(video._mapping) for video in block],
            )
        videos, observed_again = connection.execute(text(_COUNTED), {"niche": niche}).one()
        known = {int(age): int(count) for age, count in connection.execute(text(_KNOWN), {"niche": niche})}
    return ViewsAtAge(videos, observed_again, {age: known.get(age, 0) for age in FIXED_AGES}, len(changed))


def _row(video_id: str, estimate: Estimate) -> dict[str, Any]:
    return {
        "video_id": video_id,
        "age_hours": int(estimate.at),
        "views": estimate.views,
        "era": estimate.era,
        "before_hours": estimate.before,
        "after_hours": estimate.after,
    }
