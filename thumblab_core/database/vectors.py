"""Write many vectors at once."""

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
"""Where the vectors are of what a video shows, and of what it showed before."""

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
    """Write, in the transaction of the connection, the vector of each source (video, SHA-256 of what was encoded): over
    whatever current vector of that encoder the video has, or beside its earlier ones. `vectors`: float32 [n, d]; no video
    stands in the sources twice."""
    header = struct.pack(">hh", vectors.shape[1], 0)  # pgvector's binary form: how many numbers, and two unused bytes
    numbers = vectors.astype(">f4")
    cursor: Any = connection.connection.cursor()
    with cursor:
        cursor.execute(_TARGET)
        cursor.execute("TRUNCATE incoming_vectors")
        with cursor.copy("COPY incoming_vectors FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(("text", "text", "bytea"))
            for (video_id, source), row in zip(sources, numbers, strict=True):
                copy.write_row((video_id, source, header + row.tobytes()))
    connection.execute(text(_SAVE[table]), {"encoder": encoder})
