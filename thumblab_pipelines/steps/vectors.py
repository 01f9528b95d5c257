"""Read the vectors of many videos at once."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from thumblab_core.encoders.protocol import Vectors
from thumblab_core.errors import LabError
from thumblab_pipelines.steps.lab import Lab

# Binary, because a vector of 768 numbers takes five times as long to read when it is written in decimals.
_VECTORS = """
COPY (SELECT video_id, vector FROM embeddings WHERE encoder = %(encoder)s AND video_id = ANY(%(ids)s::text[]))
TO STDOUT (FORMAT BINARY)
"""
_HEADER = 4  # bytes before the numbers in pgvector's binary form: how many there are, and two that are unused
_CHUNK = 5_000


def read_vectors(lab: Lab, ids: Sequence[str], encoder: str) -> Vectors:
    """float32 [n, d] in the order of the ids. Raises `LabError` when a video has no vector of the encoder."""
    found: dict[str, bytes] = {}
    with lab.engine.connect() as connection:
        cursor: Any = connection.connection.cursor()
        for start in range(0, len(ids), _CHUNK):
            chosen = list(ids[start : start + _CHUNK])
            with cursor.copy(_VECTORS, {"encoder": encoder, "ids": chosen}) as copy:
                copy.set_types(("text", "bytea"))
                found |= {video_id: vector[_HEADER:] for video_id, vector in copy.rows()}
    lost = [video_id for video_id in ids if video_id not in found]
    if lost:
        raise LabError(
            f"{len(lost)} of {len(ids)} videos have no vector of {encoder} any more (such as {lost[0]}); "
            "materialize embeddings and training_pairs again"
        )
    numbers = np.frombuffer(b"".join(found[video_id] for video_id in ids), ">f4").astype(np.float32)
    return numbers.reshape(len(ids), -1) if len(ids) else np.zeros((0, 0), np.float32)
