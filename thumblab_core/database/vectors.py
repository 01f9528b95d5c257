"""Write many embeddings to the database at once."""

import struct
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text

from thumblab_core.encoders.protocol import Vectors

_TARGET = """
CREATE TEMPORARY TABLE IF NOT EXISTS incoming_vectors (video_id text, source_digest text, vector vector)
ON COMMIT DROP
"""
CURRENT, EARLIER = "embeddings", "earlier_embeddings"
"""The tables of vectors. `CURRENT` is for the pictures and titles that videos show now.

`EARLIER` is for the pictures and titles that videos showed earlier, or that experiments tested.
"""

_SAVE = {
    CURRENT: """
INSERT INTO embeddings (video_id, encoder, source_digest, vector)
SELECT video_id, :encoder, source_digest, vector FROM incoming_vectors
ON CONFLICT (video_id, encoder) DO UPDATE SET source_digest = excluded.source_digest, vector = excluded.vector
""",
    EARLIER: """
INSERT INTO earlier_embeddings (video_id, encoder, source_digest, vector)
SELECT video_id, :encoder, source_digest, vector FROM incoming_vectors
ON CONFLICT DO NOTHING
""",
}


def save_vectors(
    connection: Connection, encoder: str, sources: Sequence[tuple[str, str]], vectors: Vectors, table: str = CURRENT
) -> None:
    """Write the vectors in the transaction of the connection.

    `sources` are n pairs of a video id and the SHA-256 of the picture or title that was encoded. No video appears
    twice. `vectors` is float32 [n, d].

    In the table `CURRENT`, a vector replaces the video's vector of the same encoder. In `EARLIER`, a video may have
    several vectors of one encoder, and the new vector is added to them.
    """
    # pgvector's binary format starts with the dimension and two unused bytes.
    header = struct.pack(">hh", vectors.shape[1], 0)
    big_endian = vectors.astype(">f4")
    cursor: Any = connection.connection.cursor()
    with cursor:
        cursor.execute(_TARGET)
        cursor.execute("TRUNCATE incoming_vectors")
        with cursor.copy("COPY incoming_vectors FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(("text", "text", "bytea"))
            for (video_id, source), row in zip(sources, big_endian, strict=True):
                copy.write_row((video_id, source, header + row.tobytes()))
    connection.execute(text(_SAVE[table]), {"encoder": encoder})
