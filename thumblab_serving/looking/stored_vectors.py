"""Read vectors and titles from the database.

A search needs the vector of a video that is in no index, or the titles that are near to a text. A search also needs the
vectors of the videos that it has found.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from thumblab_core.encoders.protocol import Vectors
from thumblab_core.index import Item

if TYPE_CHECKING:  # Only type checkers import SQLAlchemy here, because the import is slow.
    from sqlalchemy import Connection

MOST_TITLES = 1_000
"""Maximum number of titles that a search by text reads."""

_OF_VIDEO = """
SELECT v.niche, vector_send(e.vector) AS vector
FROM videos v
LEFT JOIN thumbnails t ON t.video_id = v.video_id
LEFT JOIN embeddings e ON e.video_id = v.video_id AND e.encoder = :encoder AND e.source_digest = t.sha256
WHERE v.video_id = :video_id
"""
_TITLES = """
SELECT e.video_id, e.source_digest, -(e.vector <#> CAST(:vector AS vector)) AS similarity
FROM embeddings e JOIN videos v ON v.video_id = e.video_id
WHERE e.encoder = :encoder AND v.niche = ANY(:niches)
ORDER BY e.vector <#> CAST(:vector AS vector), e.video_id
LIMIT :most
"""
_OF_PICTURES = """
SELECT e.video_id, vector_send(e.vector) AS vector
FROM embeddings e JOIN thumbnails t ON t.video_id = e.video_id AND t.sha256 = e.source_digest
WHERE e.encoder = :encoder AND e.video_id = ANY(:video_ids)
"""


@dataclass(frozen=True)
class StoredVideo:
    """A video of the database. `vector` is None if the video's present thumbnail has no vector of the encoder."""

    niche: str
    vector: Vectors | None


@dataclass(frozen=True)
class NearTitle:
    """A title that is near to a text. `digest` is the SHA-256 of the title that was encoded."""

    video_id: str
    digest: str
    similarity: float

    def is_of(self, item: Item) -> bool:
        """Return whether the item has the title that was encoded."""
        return hashlib.sha256(item.title.encode()).hexdigest() == self.digest


def stored_video(connection: "Connection", video_id: str, encoder: str) -> StoredVideo | None:
    """Return a video with the picture vector that an image encoder has made, or None if the lab does not know the
    video.
    """
    row = _execute(connection, _OF_VIDEO, video_id=video_id, encoder=encoder).one_or_none()
    return None if row is None else StoredVideo(row.niche, None if row.vector is None else _vectors([row.vector])[0])


def near_titles(connection: "Connection", vector: Vectors, encoder: str, niches: Sequence[str]) -> list[NearTitle]:
    """Return the titles in the niches that are nearest to a unit vector of a title encoder. The nearest comes first."""
    query = f"[{','.join(map(repr, vector.tolist()))}]"
    rows = _execute(connection, _TITLES, vector=query, encoder=encoder, niches=list(niches), most=MOST_TITLES)
    return [NearTitle(row.video_id, row.source_digest, row.similarity) for row in rows]


def picture_vectors(connection: "Connection", video_ids: Sequence[str], encoder: str) -> dict[str, Vectors]:
    """Return the unit vector [d] of each video's present thumbnail. Videos without this vector are left out."""
    rows = _execute(connection, _OF_PICTURES, video_ids=list(video_ids), encoder=encoder).all()
    return dict(zip([row.video_id for row in rows], _vectors([row.vector for row in rows]), strict=True))


def _execute(connection: "Connection", statement: str, **parameters: Any) -> Any:
    from sqlalchemy import text

    return connection.execute(text(statement), parameters)


def _vectors(binary: Sequence[Any]) -> Vectors:
    from thumblab_core.database.library_rows import read_vectors

    return read_vectors([bytes(one) for one in binary]) if binary else np.zeros((0, 0), np.float32)
