"""Read the vectors of many pictures or titles at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from thumblab_core.encoders.protocol import Vectors
from thumblab_core.images import digest
from thumblab_pipelines.features.learnt_vectors import vectors
from thumblab_pipelines.lab import Lab

if TYPE_CHECKING:
    import pandas as pd

# Binary, because a vector of 768 numbers takes five times as long to read when it is written in decimals.
_QUERY = f"""
COPY (SELECT asked.video_id, found.vector
      FROM unnest(%(ids)s::text[], %(digests)s::text[]) AS asked (video_id, source_digest)
      JOIN ({vectors()}) found USING (video_id, source_digest)
      WHERE found.encoder = %(encoder)s)
TO STDOUT (FORMAT BINARY)
"""  # noqa: S608  (a query of ours)
_HEADER = 4  # bytes before the numbers in pgvector's binary form: how many there are, and two that are unused
_CHUNK = 5_000


def digests(videos: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Of the pictures and of the titles of videos, each [n], as `read_vectors` is to be asked."""
    return videos.sha256.tolist(), [digest(title.encode()) for title in videos.title]


def read_vectors(
    lab: Lab, ids: Sequence[str], digests: Sequence[str], encoder: str
) -> tuple[Vectors, npt.NDArray[np.bool_]]:
    """What an encoder made of pictures or titles that videos show or have shown: float32 [n, d], and of which of them there
    is a vector [n]. Zeros where there is none, because the video was forgotten meanwhile say.

    `ids` [n] name the videos, `digests` [n] the pictures or titles, by their SHA-256.
    """
    found: dict[str, bytes] = {}
    with lab.engine.connect() as connection:
        cursor: Any = connection.connection.cursor()
        for start in range(0, len(ids), _CHUNK):
            part = {"ids": list(ids[start : start + _CHUNK]), "digests": list(digests[start : start + _CHUNK])}
            with cursor.copy(_QUERY, {**part, "encoder": encoder}) as copy:
                copy.set_types(("text", "bytea"))
                found |= {video_id: vector[_HEADER:] for video_id, vector in copy.rows()}
    there = np.array([video_id in found for video_id in ids], bool)
    zeros = bytes(len(next(iter(found.values()), b"")))
    return _numbers([found.get(video_id, zeros) for video_id in ids]), there


def _numbers(vectors: Sequence[bytes]) -> Vectors:
    numbers = np.frombuffer(b"".join(vectors), ">f4").astype(np.float32)
    return numbers.reshape(len(vectors), -1) if len(numbers) else np.zeros((len(vectors), 0), np.float32)
