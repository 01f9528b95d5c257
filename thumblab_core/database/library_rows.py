"""Define in SQL which rows of the database are the library of a niche.

All code that reads the library from the database uses this definition.

The library is defined for one encoder. A video is in the library of its niche if it fulfils all these conditions:

- The video is no Short and no live stream, and its present thumbnail has a vector of the encoder. The view
  `ref_thumbnails` ensures both conditions.
- The video was last observed less than `days` days before the newest observation of the niche.
- If the facts of the video come from YouTube, the video was also first collected less than `days` days before the
  newest observation of the niche. A video that was collected earlier is kept only for training.
- No person excluded the video. The table `library_exclusions` lists excluded videos.

The SQL fragments of this module take the parameters `:niche`, `:encoder` and `:days`.
"""

from collections.abc import Sequence

import numpy as np

from thumblab_core.encoders.protocol import Vectors, unit

_VECTOR_HEADER = 4
"""The length in bytes of the header of a vector in pgvector's binary form.

Two bytes contain the dimension, and two are unused.
"""

SINCE = """
since AS (
  SELECT max(s.observed_at) - make_interval(days => :days) AS moment FROM video_stats s JOIN videos v USING (video_id)
  WHERE v.niche = :niche AND v.format = 'video' AND s.view_count IS NOT NULL
)"""
"""A common table expression that gives the moment `days` days before the newest observation of the niche.

A video belongs to the library only if it was last observed after this moment. If the facts of the video come from
YouTube, the video must also have been first collected after this moment.

The moment is NULL in a niche without observations.
"""

FOR_TRAINING_ONLY = "(v.source = 'youtube' AND v.collected_at <= (SELECT moment FROM since))"
"""An SQL condition on a row `v` of `videos`. It is true if the video may be used for training, but not in the library.

The facts of such a video come from YouTube. The lab first collected the video at least `days` days before the newest
observation of the niche.

A statement with this condition must also have the common table expression `SINCE`.
"""

NOT_TAKEN_OUT = "NOT IN (SELECT video_id FROM library_exclusions)"
"""The rest of an SQL condition that begins with the id of a video.

The condition is true if no person excluded this video from the library.
"""

# The subquery leaves out the videos that are only for training. A join with `videos` would be slower, because
# PostgreSQL would look up every row of `ref_thumbnails` in `videos`.
FROM_LIBRARY = f"""FROM ref_thumbnails r
  WHERE r.niche = :niche AND r.encoder = :encoder AND r.collected_at > (SELECT moment FROM since)
    AND r.video_id NOT IN (SELECT v.video_id FROM videos v WHERE v.niche = :niche AND {FOR_TRAINING_ONLY})
    AND r.video_id {NOT_TAKEN_OUT}"""  # noqa: S608  (only constants of this module are inserted)
"""The FROM and WHERE clauses that select the library's rows `r` of the view `ref_thumbnails`.

A statement with these clauses must also have the common table expression `SINCE`.
"""

ITEM_FIELDS = """r.video_id, r.title, r.channel_title, r.thumbnail_url, r.views_per_hour::float8 AS views_per_hour,
         r.outlier_multiple::float8 AS outlier_multiple, (r.published_at AT TIME ZONE 'UTC')::date AS day,
         r.view_count AS views, r.channel_id"""
"""The columns of the view `ref_thumbnails` that become the fields of an `Item`. `r` is a row of this view.

An `Item` describes a video of the library. The columns are in the order of the fields of `Item`.
"""


def read_vectors(binary: Sequence[bytes]) -> Vectors:
    """Return unit vectors, float32 [n, d], from vectors in pgvector's binary form.

    If `binary` is empty, the result has the shape [0, 0].

    For vectors of 768 numbers, reading the binary form is five times as fast as reading pgvector's decimal text form.
    """
    if not binary:
        return np.zeros((0, 0), np.float32)
    numbers = np.frombuffer(b"".join(vector[_VECTOR_HEADER:] for vector in binary), ">f4").astype(np.float32)
    return unit(numbers.reshape(len(binary), -1))
