"""Search the library of a niche in PostgreSQL with pgvector.

If `nearest_index` has made an HNSW index for the encoder, a search uses that index. HNSW is a kind of index that finds
nearest neighbours fast, but may miss some. Without an index, the search compares the query with every vector. The
result then has the same videos and cosines as the result of an exact search with `NicheIndex`, the index of the library
in memory.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection, text
from sqlalchemy.exc import DataError

from thumblab_core.database.library_rows import (
    FOR_TRAINING_ONLY,
    FROM_LIBRARY,
    ITEM_FIELDS,
    NOT_TAKEN_OUT,
    SINCE,
    read_vectors,
)
from thumblab_core.database.nearest_index import has_index
from thumblab_core.encoders.protocol import Vectors
from thumblab_core.index import MAX_NEIGHBOURS, Item, LibraryError, Neighbour

# One statement answers all queries, because computing the rows of the view `ref_thumbnails` takes longer than comparing
# the vectors. The statement computes the rows only once.
_EXACT = f"""
WITH {SINCE}, members AS MATERIALIZED (
  SELECT {ITEM_FIELDS}, r.embedding
  {FROM_LIBRARY}
)
SELECT query.place, near.*
FROM unnest(CAST(:vectors AS vector[])) WITH ORDINALITY AS query (vector, place)
CROSS JOIN LATERAL (
  SELECT video_id, title, channel_title, thumbnail_url, views_per_hour, outlier_multiple, day, views,
         channel_id, -(embedding <#> query.vector) AS similarity
  FROM members ORDER BY embedding <#> query.vector, video_id LIMIT :k
) near
ORDER BY query.place, near.similarity DESC, near.video_id
"""  # noqa: S608  (only constants of `library_rows` are inserted)

# The inner SELECT reads the index, which gives the rows in order of distance. The outer SELECT looks up the columns of
# each row by a lateral join. The planner cannot exchange the two sides of such a join. With an ordinary join,
# PostgreSQL could sort all rows instead of using the index.
#
# PostgreSQL uses an index only for exactly the expression that the index was made with. So `{dimension}` is replaced by
# a number.
_BY_INDEX = f"""
WITH since AS (SELECT CAST(:moment AS timestamptz) AS moment)
SELECT r.*, -near.distance AS similarity
FROM (
  SELECT e.video_id, (e.vector::vector({{dimension}})) <#> CAST(:vector AS vector({{dimension}})) AS distance
  FROM embeddings e
  JOIN thumbnails t ON t.video_id = e.video_id AND t.sha256 = e.source_digest
  JOIN videos v ON v.video_id = e.video_id
  WHERE e.encoder = :encoder AND v.niche = :niche AND v.format = 'video'
    AND (SELECT max(s.observed_at) FROM video_stats s WHERE s.video_id = e.video_id AND s.view_count IS NOT NULL)
        > (SELECT moment FROM since)
    AND NOT {FOR_TRAINING_ONLY}
    AND v.video_id {NOT_TAKEN_OUT}
  ORDER BY (e.vector::vector({{dimension}})) <#> CAST(:vector AS vector({{dimension}}))
  LIMIT :k
) near
CROSS JOIN LATERAL (
  SELECT {ITEM_FIELDS} FROM ref_thumbnails r WHERE r.video_id = near.video_id AND r.encoder = :encoder OFFSET 0
) r
ORDER BY near.distance, r.video_id
"""  # noqa: S608

_SAMPLE = f"""
WITH {SINCE}, members AS MATERIALIZED (
  SELECT r.video_id, r.embedding
  {FROM_LIBRARY}
)
SELECT member_count, vector_send(embedding) AS vector FROM (
  SELECT count(*) OVER () AS member_count, embedding FROM members ORDER BY md5(video_id) LIMIT :most
) sample
"""  # noqa: S608

_CANDIDATES = 1_000
"""How many vectors a search takes from the index at a time (`hnsw.ef_search`). pgvector allows no larger value.

The search then drops the vectors that are not in the library of the niche. With a smaller number, a search is faster,
but in a measurement the search missed two of the 20 nearest neighbours.
"""


@dataclass(frozen=True)
class Library:
    """The library of a niche, with the vectors of the encoder whose fingerprint is `encoder`.

    `days` is how long a video stays in the library after its last observation. `library_rows` gives the exact rule.
    """

    encoder: str
    niche: str
    days: int


def search(
    connection: Connection, library: Library, vectors: Vectors, k: int = MAX_NEIGHBOURS, exact: bool = False
) -> list[list[Neighbour]]:
    """Return the `k` nearest items of the library to each of the unit vectors `vectors`, float32 [n, d].

    If the library has fewer than `k` items, all of them are returned. The nearest item comes first.

    If `exact` is true, each vector is compared with the whole library. Otherwise, the HNSW index of the encoder is used
    if there is one. A vector for which the index finds fewer than `k` neighbours is compared with the whole library.

    The search changes settings of the connection until the current transaction ends. Raises `LibraryError` for vectors
    that are not finite or have another dimension than the library, and for `k` below 1 or above `MAX_NEIGHBOURS`.
    """
    if not 1 <= k <= MAX_NEIGHBOURS:
        raise LibraryError(f"{k} neighbours were requested; use a number from 1 to {MAX_NEIGHBOURS}")
    if vectors.ndim != 2 or not np.isfinite(vectors).all():
        raise LibraryError("the query must consist of vectors of finite numbers")
    try:
        if exact or not has_index(connection, library.encoder, vectors.shape[1]):
            return _compare(connection, library, vectors, k)
        return _look_up(connection, library, vectors, k)
    except DataError as error:
        reason = getattr(getattr(error.orig, "diag", None), "message_primary", None) or "the database rejects it"
        raise LibraryError(f"the query does not fit this library: {reason}") from None


def sample(connection: Connection, library: Library, most: int) -> tuple[int, Vectors]:
    """Return the number of vectors in the library, and a random sample of these vectors, float32 [m, d].

    The sample has at most `most` vectors. The same library always gives the same sample.
    """
    rows = connection.execute(text(_SAMPLE), _parameters(library) | {"most": most}).all()
    return int(rows[0].member_count) if rows else 0, read_vectors([bytes(row.vector) for row in rows])


def index_statement(connection: Connection, library: Library, dimension: int, k: int) -> tuple[str, dict[str, Any]]:
    """Return the SQL statement that finds the nearest neighbours of a vector with the index. Also return the parameters
    of the statement.

    The caller must add the parameter `vector`.
    """
    parameters = _parameters(library)
    # The moment of `SINCE` is computed here once and not for each vector, because its computation reads all
    # observations of the niche.
    moment = connection.execute(text(f"WITH {SINCE} SELECT moment FROM since"), parameters).scalar()  # noqa: S608
    return _BY_INDEX.format(dimension=int(dimension)), parameters | {"k": k, "moment": moment}


def prepare_index_search(connection: Connection) -> None:
    """Make searches in this transaction use the index.

    Such a search reads the index until it has found enough rows that are in the library.
    """
    connection.execute(text(f"SET LOCAL hnsw.ef_search = {_CANDIDATES}"))
    connection.execute(text("SET LOCAL hnsw.iterative_scan = strict_order"))
    # A generic plan must be valid for all values of the parameter `encoder`. So a generic plan cannot use an index that
    # contains the vectors of only one encoder.
    connection.execute(text("SET LOCAL plan_cache_mode = force_custom_plan"))
    # The planner assumes that reading and comparing a vector costs as little as comparing two numbers. The planner
    # would therefore sort all vectors instead of using the index.
    connection.execute(text("SET LOCAL enable_sort = off"))


def _compare(connection: Connection, library: Library, vectors: Vectors, k: int) -> list[list[Neighbour]]:
    parameters = _parameters(library) | {"vectors": [_as_text(vector) for vector in vectors], "k": k}
    neighbours: list[list[Neighbour]] = [[] for _ in vectors]
    for row in connection.execute(text(_EXACT), parameters):
        neighbours[row.place - 1].append(_neighbour(row))
    return neighbours


def _look_up(connection: Connection, library: Library, vectors: Vectors, k: int) -> list[list[Neighbour]]:
    statement, parameters = index_statement(connection, library, vectors.shape[1], k)
    prepare_index_search(connection)
    neighbours = [
        [_neighbour(row) for row in connection.execute(text(statement), parameters | {"vector": _as_text(vector)})]
        for vector in vectors
    ]
    short = [place for place, near in enumerate(neighbours) if len(near) < k]
    if short:
        connection.execute(text("SET LOCAL enable_sort = on"))
        for place, near in zip(short, _compare(connection, library, vectors[short], k), strict=True):
            neighbours[place] = near
    return neighbours


def _parameters(library: Library) -> dict[str, Any]:
    return {"encoder": library.encoder, "niche": library.niche, "days": library.days}


def _as_text(vector: Vectors) -> str:
    """Return the vector as text. From this text, pgvector reads exactly the same float32 numbers."""
    return f"[{','.join(map(repr, vector.tolist()))}]"


def _neighbour(row: Any) -> Neighbour:
    item = Item(
        video_id=row.video_id,
        title=row.title,
        channel=row.channel_title,
        url=row.thumbnail_url,
        views_per_hour=row.views_per_hour,
        outlier_multiple=row.outlier_multiple,
        published_on=row.day,
        views=row.views,
        channel_id=row.channel_id,
    )
    return Neighbour(item, row.similarity)
