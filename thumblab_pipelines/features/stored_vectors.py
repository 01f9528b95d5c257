"""Read the stored vectors of pictures and titles, or return the SQL query that selects them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from thumblab_core.encoders.protocol import Vectors
from thumblab_core.images import digest
from thumblab_pipelines.lab import Lab

if TYPE_CHECKING:
    import pandas as pd


def stored_vectors_query(where: str = "true") -> str:
    """Return an SQL query for the vectors of all pictures and titles that videos show now or showed earlier.

    `where` is a condition on the rows of the tables `embeddings` and `earlier_embeddings`.
    """
    return f"""
        SELECT video_id, encoder, source_digest, vector FROM embeddings WHERE {where}
        UNION ALL
        SELECT video_id, encoder, source_digest, vector FROM earlier_embeddings WHERE {where}
    """  # noqa: S608  (conditions come from this project's code)


# COPY sends the vectors in PostgreSQL's binary format. Reading a vector of 768 numbers as decimal text takes five times
# as long.
_COPY = f"""
COPY (SELECT asked.video_id, asked.source_digest, stored.vector
      FROM unnest(%(ids)s::text[], %(digests)s::text[]) AS asked (video_id, source_digest)
      JOIN ({stored_vectors_query()}) stored USING (video_id, source_digest)
      WHERE stored.encoder = %(encoder)s)
TO STDOUT (FORMAT BINARY)
"""  # noqa: S608  (the query comes from this project's code)
_HEADER = 4
"""Number of bytes before the numbers in pgvector's binary format: two give the dimension, and two are unused."""
_CHUNK = 5_000
"""Number of videos in one query."""


def digests(videos: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Return the digests of the pictures [n] and of the titles [n] of n videos, for `read_vectors`."""
    return videos.sha256.tolist(), [digest(title.encode()) for title in videos.title]


def read_vectors(
    lab: Lab, ids: Sequence[str], digests: Sequence[str], encoder: str
) -> tuple[Vectors, npt.NDArray[np.bool_]]:
    """Return the stored vectors of pictures or titles that videos show or have shown.

    Args:
        lab: the lab.
        ids: the ids of the videos, [n]. A video may appear several times, with different pictures or titles.
        digests: the SHA-256 of the picture or title of each of these videos, [n].
        encoder: the fingerprint of the encoder.

    Returns:
        The vectors, float32 [n, d], and whether each is stored, bool [n]. A vector that is not stored, for example
        because the video was deleted in the meantime, is returned as zeros.
    """
    stored: dict[tuple[str, str], bytes] = {}
    with lab.engine.connect() as connection:
        cursor: Any = connection.connection.cursor()
        for start in range(0, len(ids), _CHUNK):
            part = {"ids": list(ids[start : start + _CHUNK]), "digests": list(digests[start : start + _CHUNK])}
            with cursor.copy(_COPY, {**part, "encoder": encoder}) as copy:
                copy.set_types(("text", "text", "bytea"))
                stored |= {(video_id, source): vector[_HEADER:] for video_id, source, vector in copy.rows()}
    asked = list(zip(ids, digests, strict=True))
    is_stored = np.array([key in stored for key in asked], bool)
    zeros = bytes(len(next(iter(stored.values()), b"")))
    return _as_array([stored.get(key, zeros) for key in asked]), is_stored


def _as_array(vectors: Sequence[bytes]) -> Vectors:
    """Return vectors as an array, float32 [n, d]. Each given vector consists of big-endian float32 numbers."""
    numbers = np.frombuffer(b"".join(vectors), ">f4").astype(np.float32)
    return numbers.reshape(len(vectors), -1) if len(numbers) else np.zeros((len(vectors), 0), np.float32)
