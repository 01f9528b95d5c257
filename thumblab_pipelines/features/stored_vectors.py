"""Read the stored vectors of pictures and titles, or return the SQL query that selects them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from thumblab_core.encoders.protocol import Vectors
from thumblab_core.errors import LabError
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
COPY (SELECT asked.row::integer, stored.vector
      FROM unnest(%(ids)s::text[], %(digests)s::text[]) WITH ORDINALITY AS asked (video_id, source_digest, row)
      JOIN ({stored_vectors_query()}) stored USING (video_id, source_digest)
      WHERE stored.encoder = %(encoder)s)
TO STDOUT (FORMAT BINARY)
"""  # noqa: S608  (the query comes from this project's code)
_HEADER, _TRAILER = 19, 2
"""Numbers of bytes before and after the rows in PostgreSQL's binary format."""
_CHUNK = 5_000
"""Number of videos whose vectors are read by one query."""


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
        The vectors, float32 [n, d], and whether each vector is stored, bool [n]. A vector that is not stored, for
        example because the video was deleted in the meantime, is returned as zeros.
    """
    vectors, is_stored = np.zeros((0, 0), np.float32), np.zeros(len(ids), bool)
    with lab.engine.connect() as connection:
        cursor: Any = connection.connection.cursor()
        for start in range(0, len(ids), _CHUNK):
            part = {"ids": list(ids[start : start + _CHUNK]), "digests": list(digests[start : start + _CHUNK])}
            with cursor.copy(_COPY, {**part, "encoder": encoder}) as copy:
                stored = _rows(b"".join(copy), encoder)
            if len(stored) and not vectors.size:
                # The dimension is known from the first vector. All vectors are then written into one array, so that
                # they are never in memory twice.
                vectors = np.zeros((len(ids), stored["vector"].shape[1]), np.float32)
            rows = start + stored["row"] - 1
            vectors[rows], is_stored[rows] = stored["vector"], True
    return (vectors if vectors.size else np.zeros((len(ids), 0), np.float32)), is_stored


def _rows(binary: bytes, encoder: str) -> npt.NDArray[Any]:
    """Return the rows in `binary`, the output of `_COPY`, as an array with the fields `row` and `vector`.

    All vectors of an encoder have the same number of dimensions, so all rows have the same number of bytes. Raises
    `LabError` if the rows differ in size.
    """
    rows = memoryview(binary)[_HEADER:-_TRAILER]
    size = len(rows) and int(np.frombuffer(rows, ">i4", 1, 10)[0])
    layout = np.dtype(
        [
            ("fields", ">i2"),
            ("row_size", ">i4"),
            ("row", ">i4"),
            ("vector_size", ">i4"),
            ("dimension", ">i2"),
            ("unused", ">i2"),
            ("vector", ">f4", (max(size - 4, 0) // 4,)),
        ]
    )
    if len(rows) % layout.itemsize or ((stored := np.frombuffer(rows, layout))["vector_size"] != size).any():
        raise LabError(f"the vectors of the encoder {encoder} differ in dimension; encode their videos again")
    return stored
