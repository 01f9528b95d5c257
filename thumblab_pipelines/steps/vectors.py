"""Read the vectors of many videos at once."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from thumblab_core.encoders.protocol import Vectors
from thumblab_pipelines.steps.lab import Lab

# Binary, because a vector of 768 numbers takes five times as long to read when it is written in decimals.
_VECTORS = """
COPY (SELECT video_id, vector FROM embeddings WHERE encoder = %(encoder)s AND video_id = ANY(%(ids)s::text[]))
TO STDOUT (FORMAT BINARY)
"""
_OF_THE_SAME = """
COPY (SELECT theirs.video_id, theirs.vector FROM embeddings theirs JOIN embeddings ours USING (video_id, source_digest)
      WHERE theirs.encoder = %(encoder)s AND ours.encoder = %(beside)s AND theirs.video_id = ANY(%(ids)s::text[]))
TO STDOUT (FORMAT BINARY)
"""
_HEADER = 4  # bytes before the numbers in pgvector's binary form: how many there are, and two that are unused
_CHUNK = 5_000


def read_vectors(lab: Lab, ids: Sequence[str], encoder: str) -> tuple[Vectors, npt.NDArray[np.bool_]]:
    """What an encoder made of the videos, float32 [n, d] in the order of the ids, and of which videos there is a vector [n].

    Zeros where there is none, because the video was forgotten meanwhile say.
    """
    return _in_order(ids, _found(lab, _VECTORS, ids, encoder=encoder))


def read_vectors_beside(
    lab: Lab, ids: Sequence[str], encoder: str, beside: str
) -> tuple[Vectors, npt.NDArray[np.bool_]]:
    """The same, of the very pictures or titles alone that another encoder was given too."""
    return _in_order(ids, _found(lab, _OF_THE_SAME, ids, encoder=encoder, beside=beside))


def _in_order(ids: Sequence[str], found: dict[str, bytes]) -> tuple[Vectors, npt.NDArray[np.bool_]]:
    there = np.array([video_id in found for video_id in ids], bool)
    zeros = bytes(len(next(iter(found.values()), b"")))
    return _numbers([found.get(video_id, zeros) for video_id in ids]), there


def _found(lab: Lab, query: str, ids: Sequence[str], **encoders: str) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    with lab.engine.connect() as connection:
        cursor: Any = connection.connection.cursor()
        for start in range(0, len(ids), _CHUNK):
            with cursor.copy(query, {"ids": list(ids[start : start + _CHUNK]), **encoders}) as copy:
                copy.set_types(("text", "bytea"))
                found |= {video_id: vector[_HEADER:] for video_id, vector in copy.rows()}
    return found


def _numbers(vectors: Sequence[bytes]) -> Vectors:
    numbers = np.frombuffer(b"".join(vectors), ">f4").astype(np.float32)
    return numbers.reshape(len(vectors), -1) if len(numbers) else np.zeros((len(vectors), 0), np.float32)
