"""Read the videos of a niche with their views. Also read the picture and the title that each video showed when it got
these views.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import text

from thumblab_core.database.library_rows import FOR_TRAINING_ONLY, NOT_TAKEN_OUT, SINCE
from thumblab_core.sub_scores import NAMES
from thumblab_pipelines.features.baselines import ALL_AGES
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.videos.records import VIDEO
from thumblab_pipelines.videos.versions import first_versions_query

if TYPE_CHECKING:
    import pandas as pd

# This query reads the same videos as the library (`thumblab_core.database.library_rows`), but other facts about them.
# The library has the present thumbnail of a video and all its views. This query reads the first picture and the first
# title, and the views until one of the two was changed. The measurement of a later picture is not used.
_VIDEOS = f"""
WITH {SINCE}, shown AS ({first_versions_query("v.niche = :niche")})
SELECT v.video_id, v.channel_id, c.title AS channel, p.title, p.sha256, v.published_at, v.duration_s,
       s.view_count, s.observed_at, a.age_hours, age_band(a.age_hours) AS age_band,
       s.view_count / a.age_hours AS views_per_hour,
       COALESCE(s.view_count / NULLIF(same_age.median_views, 0),
                s.view_count / a.age_hours / NULLIF(overall.median_views_per_hour, 0)) AS outlier_multiple,
       f.version, {", ".join(f"f.{name}" for name in NAMES)}, f.evidence - 'saliency' AS evidence
FROM videos v
JOIN channels c USING (channel_id)
JOIN shown p ON p.video_id = v.video_id
LEFT JOIN LATERAL (
  SELECT view_count, observed_at FROM video_stats o
  WHERE o.video_id = v.video_id AND o.view_count IS NOT NULL AND o.observed_at <= p.until
    AND o.observed_at >= v.published_at
  ORDER BY observed_at DESC LIMIT 1
) s ON true
CROSS JOIN LATERAL (
  SELECT GREATEST(EXTRACT(EPOCH FROM s.observed_at - v.published_at) / 3600.0, 1.0)::float AS age_hours
) a
LEFT JOIN channel_baselines same_age
  ON same_age.niche = v.niche AND same_age.channel_id = v.channel_id AND same_age.age_band = age_band(a.age_hours)
LEFT JOIN channel_baselines overall
  ON overall.niche = v.niche AND overall.channel_id = v.channel_id AND overall.age_band = :all_ages
LEFT JOIN visual_features f ON f.video_id = v.video_id AND f.sha256 = p.sha256
WHERE v.niche = :niche AND v.format = :format AND NOT {FOR_TRAINING_ONLY} AND v.video_id {NOT_TAKEN_OUT}
  AND EXISTS (SELECT 1 FROM video_stats o WHERE o.video_id = v.video_id AND o.view_count IS NOT NULL
              AND o.observed_at > (SELECT moment FROM since))
ORDER BY v.published_at, v.video_id
"""  # noqa: S608  (built from constants; values are bound)

NOT_COUNTED = "changed before it was counted"
NO_BASELINE = "of a channel without a baseline"
NOT_MEASURED = "the picture that earned the views was not measured"


def read_videos(lab: Lab, niche: str) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return the videos of the niche that can be compared, in order of publication. Also return how many videos were
    left out, by reason.

    `sha256` and `title` belong to the picture and the title that the video showed while it got the views.
    `outlier_multiple` compares these views with the channel's usual views, as the library does. A video is kept even if
    its picture was not measured, because its title can be compared. The evidence of such a video is None, and the video
    is counted under `NOT_MEASURED`. Only measurements by the most frequent version of the meter are used.
    """
    import pandas as pd

    parameters = {"niche": niche, "days": lab.settings.library_days, "all_ages": ALL_AGES, "format": VIDEO}
    with lab.engine.connect() as connection:
        rows = connection.execute(text(_VIDEOS), parameters)
        videos = pd.DataFrame(rows.all(), columns=list(rows.keys()))
    left_out: dict[str, int] = {}
    for reason, column in ((NOT_COUNTED, "view_count"), (NO_BASELINE, "outlier_multiple")):
        lacking = videos[column].isna()
        left_out[reason] = int(lacking.sum())
        videos = videos[~lacking]
    videos = videos.astype({"outlier_multiple": float, "views_per_hour": float, "duration_s": float})
    other_meter = videos.version != videos.version.mode().get(0)
    videos.loc[other_meter, list(NAMES)] = float("nan")
    videos = videos.assign(evidence=videos.evidence.where(~other_meter, None))
    left_out[NOT_MEASURED] = int(videos.evidence.isna().sum())
    return videos.reset_index(drop=True), {reason: count for reason, count in left_out.items() if count}
