"""What the library of a niche holds, read from PostgreSQL in one pass."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import Connection, text

from thumblab_core.encoders.protocol import Vectors, unit
from thumblab_core.index import Item
from thumblab_core.sub_scores import NAMES
from thumblab_core.sub_scores.distribution import ScoreDistribution
from thumblab_pipelines.lab import Lab

# Binary, because a vector of 768 numbers takes five times as long to read when it is written in decimals.
_LIBRARY = """
COPY (
WITH since AS (
  SELECT max(s.observed_at) - make_interval(days => %(days)s) AS moment FROM video_stats s JOIN videos v USING (video_id)
  WHERE v.niche = %(niche)s AND v.format = 'video' AND s.view_count IS NOT NULL
)
SELECT video_id, title, channel_title, thumbnail_url, views_per_hour::float8, outlier_multiple::float8,
       (published_at AT TIME ZONE 'UTC')::date, embedding
FROM ref_thumbnails
WHERE niche = %(niche)s AND encoder = %(encoder)s
  AND collected_at > (SELECT moment FROM since)
  AND video_id NOT IN (SELECT video_id FROM videos WHERE niche = %(niche)s AND source = 'youtube'
                       AND collected_at <= (SELECT moment FROM since)) -- kept for the training
  AND (%(ids)s::text[] IS NULL OR video_id = ANY(%(ids)s::text[]))
  AND video_id NOT IN (SELECT video_id FROM library_exclusions)
ORDER BY video_id
) TO STDOUT (FORMAT BINARY)
"""
_TYPES = ("text", "text", "text", "text", "float8", "float8", "date", "bytea")

_SCORES = f"""
SELECT {", ".join(NAMES)} FROM visual_features f JOIN thumbnails t ON t.video_id = f.video_id AND t.sha256 = f.sha256
WHERE f.video_id = ANY(:ids) AND f.version = :version
ORDER BY f.video_id
"""  # noqa: S608  (names of ours)
"""Of the pictures that are there now, by the formulas of now."""

_VECTOR_HEADER = 4  # bytes before the numbers in pgvector's binary form: how many there are, and two that are unused


@dataclass(frozen=True)
class LibraryRows:
    """The items of a niche with their unit vectors, float32 [n, d], in the same order.

    What was committed before `as_of` is in them; what they hold was committed before `read_at`. Both by the clock of the
    database.
    """

    items: list[Item]
    vectors: Vectors
    as_of: datetime
    read_at: datetime


def read_library(lab: Lab, niche: str, encoder: str, ids: Sequence[str] | None = None) -> LibraryRows:
    """The library of the niche in the space of an encoder; of these videos only, where some are named."""
    parameters = {"niche": niche, "encoder": encoder, "days": lab.settings.library_days}
    items: list[Item] = []
    vectors: list[bytes] = []
    with lab.engine.connect() as connection:
        as_of = now(connection)
        cursor: Any = connection.connection.cursor()
        with cursor.copy(_LIBRARY, parameters | {"ids": None if ids is None else list(ids)}) as copy:
            copy.set_types(_TYPES)
            for video_id, title, channel, url, rate, outlier, day, vector in copy.rows():
                items.append(Item(video_id, title, channel, url, rate, outlier, day))
                vectors.append(vector[_VECTOR_HEADER:])
        read_at = now(connection)
    found = np.frombuffer(b"".join(vectors), ">f4").astype(np.float32)
    return LibraryRows(items, unit(found.reshape(len(items), -1)) if items else _none(), as_of, read_at)


def read_scores(lab: Lab, video_ids: Sequence[str], version: str) -> ScoreDistribution:
    """How these videos are spread over the sub-scores; of one that nobody measured by that version, not at all."""
    with lab.engine.connect() as connection:
        rows = connection.execute(text(_SCORES), {"ids": list(video_ids), "version": version}).mappings().all()
    values = {name: [row[name] for row in rows if row[name] is not None] for name in NAMES}
    return ScoreDistribution.of(version, len(rows), values)


def now(connection: Connection) -> datetime:
    """By the clock of the database, at this moment and not when the transaction began."""
    found: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    return found


def _none() -> Vectors:
    return np.zeros((0, 0), np.float32)
