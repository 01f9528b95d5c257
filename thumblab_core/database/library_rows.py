"""Which rows of the database are the library of a niche, in SQL. Whoever reads or searches the library uses this definition.

A video is in the library of its niche, in the space of an encoder, if

- it is a plain video, and its present thumbnail has a vector of that encoder (the view `ref_thumbnails`),
- it was last observed less than `days` before the newest observation of the niche,
- it was first collected within the same days, if its facts come from YouTube; the lab keeps older ones for the training,
- nobody took it out (`library_exclusions`).

The fragments take the parameters `:niche`, `:encoder` and `:days`.
"""

from collections.abc import Sequence

import numpy as np

from thumblab_core.encoders.protocol import Vectors, unit

_VECTOR_HEADER = 4  # bytes before the numbers in pgvector's binary form: the dimension, and two unused bytes

SINCE = """
since AS (
  SELECT max(s.observed_at) - make_interval(days => :days) AS moment FROM video_stats s JOIN videos v USING (video_id)
  WHERE v.niche = :niche AND v.format = 'video' AND s.view_count IS NOT NULL
)"""
"""A common table expression: the moment after which a video must have been observed and collected.

It is NULL in a niche without observations."""

FOR_TRAINING_ONLY = "(v.source = 'youtube' AND v.collected_at <= (SELECT moment FROM since))"
"""Whether a row `v` of `videos` was first collected too long ago for the library. Needs `SINCE`."""

NOT_TAKEN_OUT = "NOT IN (SELECT video_id FROM library_exclusions)"
"""What the id of a video of the library is."""

# The videos for the training are subtracted: joining `videos` once more costs a lookup for every row.
FROM_LIBRARY = f"""FROM ref_thumbnails r
  WHERE r.niche = :niche AND r.encoder = :encoder AND r.collected_at > (SELECT moment FROM since)
    AND r.video_id NOT IN (SELECT v.video_id FROM videos v WHERE v.niche = :niche AND {FOR_TRAINING_ONLY})
    AND r.video_id {NOT_TAKEN_OUT}"""  # noqa: S608  (fragments of this module)
"""The rows `r` of `ref_thumbnails` that are the library. They need `SINCE`."""

ITEM_FIELDS = """r.video_id, r.title, r.channel_title, r.thumbnail_url, r.views_per_hour::float8 AS views_per_hour,
         r.outlier_multiple::float8 AS outlier_multiple, (r.published_at AT TIME ZONE 'UTC')::date AS day"""
"""The fields of an `Item`, in their order, from a row `r` of `ref_thumbnails`."""


def read_vectors(binary: Sequence[bytes]) -> Vectors:
    """Return unit vectors, float32 [n, d], from vectors in pgvector's binary form; [0, 0] if there are none.

    Reading the binary form is five times as fast as reading decimals, for vectors of 768 numbers.
    """
    if not binary:
        return np.zeros((0, 0), np.float32)
    numbers = np.frombuffer(b"".join(vector[_VECTOR_HEADER:] for vector in binary), ">f4").astype(np.float32)
    return unit(numbers.reshape(len(binary), -1))
