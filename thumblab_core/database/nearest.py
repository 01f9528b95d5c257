"""The library of a niche searched in PostgreSQL by pgvector: the same videos and cosines as `NicheIndex.search` finds.

Whose rows: those of the view `ref_thumbnails` that an index is built of. They are compared one by one, or, where
`nearest_index` keeps an HNSW index of the encoder, looked up in it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection, text
from sqlalchemy.exc import DataError

from thumblab_core.database.nearest_index import has_index
from thumblab_core.encoders.protocol import Vectors, unit
from thumblab_core.index import MAX_NEIGHBOURS, Item, LibraryError, Neighbour, Only

_NEWEST = """
newest AS (
  SELECT v.niche, max(s.observed_at) AS seen FROM video_stats s JOIN videos v USING (video_id)
  WHERE v.format = 'video' AND s.view_count IS NOT NULL
    AND (CAST(:niches AS text[]) IS NULL OR v.niche = ANY(CAST(:niches AS text[])))
  GROUP BY v.niche
)"""

_FIELDS = """r.video_id, r.title, r.channel_title, r.thumbnail_url, r.views_per_hour::float8 AS views_per_hour,
         r.outlier_multiple::float8 AS outlier_multiple, (r.published_at AT TIME ZONE 'UTC')::date AS day"""

_DAYS = """(CAST(:since AS date) IS NULL OR ({0}.published_at AT TIME ZONE 'UTC')::date >= CAST(:since AS date))
    AND (CAST(:until AS date) IS NULL OR ({0}.published_at AT TIME ZONE 'UTC')::date <= CAST(:until AS date))"""

# What YouTube told stays in the library so long after it was first collected, and longer in the lab: for the training.
_FIRST_COLLECTED = "({0}.source <> 'youtube' OR {0}.collected_at > newest.seen - make_interval(days => :days))"

_MEMBERS = f"""
members AS MATERIALIZED (
  SELECT {_FIELDS}, r.embedding
  FROM ref_thumbnails r JOIN newest USING (niche) JOIN videos f ON f.video_id = r.video_id
  WHERE r.encoder = :encoder AND r.collected_at > newest.seen - make_interval(days => :days)
    AND {_FIRST_COLLECTED.format("f")}
    AND r.video_id NOT IN (SELECT video_id FROM library_exclusions)
    AND {_DAYS.format("r")}
)"""  # noqa: S608  (fragments of ours)

# One statement for all vectors: the view takes longer to compute than the vectors to compare.
_EXACT = f"""
WITH {_NEWEST}, {_MEMBERS}
SELECT asked.place, near.*
FROM unnest(CAST(:vectors AS vector[])) WITH ORDINALITY AS asked (vector, place)
CROSS JOIN LATERAL (
  SELECT video_id, title, channel_title, thumbnail_url, views_per_hour, outlier_multiple, day,
         -(embedding <#> asked.vector) AS similarity
  FROM members ORDER BY embedding <#> asked.vector, video_id LIMIT :k
) near
ORDER BY asked.place, near.similarity DESC, near.video_id
"""  # noqa: S608

# The index gives the order, so nothing here may need another: lookups by key, and no join that the planner could turn
# around. {dimension} is a number; an index is only used by the very expression that it was made with.
_BY_INDEX = f"""
SELECT 1 AS place, r.*, -near.distance AS similarity
FROM (
  SELECT e.video_id, (e.vector::vector({{dimension}})) <#> CAST(:vector AS vector({{dimension}})) AS distance
  FROM embeddings e
  JOIN thumbnails t ON t.video_id = e.video_id AND t.sha256 = e.source_digest
  JOIN videos v ON v.video_id = e.video_id
  JOIN unnest(CAST(:of AS text[]), CAST(:seen AS timestamptz[])) AS newest (niche, seen) ON newest.niche = v.niche
  WHERE e.encoder = :encoder AND v.format = 'video'
    AND (SELECT max(s.observed_at) FROM video_stats s WHERE s.video_id = e.video_id AND s.view_count IS NOT NULL)
        > newest.seen - make_interval(days => :days)
    AND {_FIRST_COLLECTED.format("v")}
    AND e.video_id NOT IN (SELECT video_id FROM library_exclusions)
    AND {_DAYS.format("v")}
  ORDER BY (e.vector::vector({{dimension}})) <#> CAST(:vector AS vector({{dimension}}))
  LIMIT :k
) near
CROSS JOIN LATERAL (
  SELECT {_FIELDS} FROM ref_thumbnails r WHERE r.video_id = near.video_id AND r.encoder = :encoder OFFSET 0
) r
ORDER BY near.distance, r.video_id
"""  # noqa: S608

_SAMPLE = f"""
WITH {_NEWEST}, {_MEMBERS}
SELECT held, vector_send(embedding) AS vector FROM (
  SELECT count(*) OVER () AS held, embedding FROM members ORDER BY md5(video_id) LIMIT :most
) drawn
"""  # noqa: S608

_VECTOR_HEADER = 4  # bytes before the numbers in pgvector's binary form
_CANDIDATES = 1_000
"""The most that pgvector lets a search keep. Fewer are faster, and of 20 neighbours under a condition lose two."""


@dataclass(frozen=True)
class Library:
    """Which rows: of an encoder (its fingerprint), of these niches (None: of all), last observed less than `days` before
    the newest observation of their niche; and where YouTube told of them, first collected so too.

    What a person took out is not in it."""

    encoder: str
    niches: tuple[str, ...] | None
    days: int


def search(
    connection: Connection,
    library: Library,
    vectors: Vectors,
    k: int = MAX_NEIGHBOURS,
    only: Only | None = None,
    exact: bool = False,
) -> list[list[Neighbour]]:
    """For each unit vector of float32 [n, d] the k nearest of the library (fewer when there are fewer), nearest first.

    With `exact` every vector is compared. Without, the HNSW index of the encoder is used where there is one, and what it
    cannot find k neighbours for is compared after all. Leaves settings behind in the transaction of the connection.
    Raises `LibraryError` for vectors that do not belong in this library, and for k below 1 or above `MAX_NEIGHBOURS`.
    """
    if not 1 <= k <= MAX_NEIGHBOURS:
        raise LibraryError(f"{k} neighbours were asked for; the lab finds 1 to {MAX_NEIGHBOURS}")
    if vectors.ndim != 2 or not np.isfinite(vectors).all():
        raise LibraryError("the query is not made of vectors of finite numbers")
    try:
        if exact or not has_index(connection, library.encoder, vectors.shape[1]):
            return _compared(connection, library, vectors, k, only)
        return _looked_up(connection, library, vectors, k, only)
    except DataError as error:
        reason = getattr(getattr(error.orig, "diag", None), "message_primary", None) or "the database does not take it"
        raise LibraryError(f"the query does not belong in this library: {reason}") from None


def sample(connection: Connection, library: Library, most: int) -> tuple[int, Vectors]:
    """How many vectors the library holds, and those of at most so many videos drawn by lot, float32 [m, d]; always the
    same ones of the same library."""
    rows = connection.execute(text(_SAMPLE), _of(library) | {"most": most, "since": None, "until": None}).all()
    if not rows:
        return 0, np.zeros((0, 0), np.float32)
    numbers = np.frombuffer(b"".join(bytes(row.vector)[_VECTOR_HEADER:] for row in rows), ">f4").astype(np.float32)
    return int(rows[0].held), unit(numbers.reshape(len(rows), -1))


def lookup(library: Library, dimension: int, k: int, only: Only | None = None) -> tuple[str, dict[str, Any]]:
    """The statement that looks up one vector (`vector`) by the index, with its parameters but for `vector`, `of`, `seen`."""
    return _BY_INDEX.format(dimension=int(dimension)), _of(library) | _bounds(only) | {"k": k}


def prepare(connection: Connection) -> None:
    """Have the transaction answer `lookup` by the index, going on until as many as were asked for meet its conditions."""
    connection.execute(text(f"SET LOCAL hnsw.ef_search = {_CANDIDATES}"))
    connection.execute(text("SET LOCAL hnsw.iterative_scan = strict_order"))
    # A generic plan does not know the encoder, and without it no index that holds one encoder only.
    connection.execute(text("SET LOCAL plan_cache_mode = force_custom_plan"))
    # The planner thinks that to read and compare a vector costs as much as to compare two numbers.
    connection.execute(text("SET LOCAL enable_sort = off"))


def newest(connection: Connection, library: Library) -> dict[str, Any]:
    """When each niche of the library was last observed, as the parameters `of` and `seen` of `lookup`."""
    statement = text(f"WITH {_NEWEST} SELECT niche, seen FROM newest")  # noqa: S608  (a fragment of ours)
    rows = connection.execute(statement, {"niches": _of(library)["niches"]}).all()
    return {"of": [row.niche for row in rows], "seen": [row.seen for row in rows]}


def _compared(
    connection: Connection, library: Library, vectors: Vectors, k: int, only: Only | None
) -> list[list[Neighbour]]:
    asked = {"vectors": [_written(vector) for vector in vectors], "k": k}
    found: list[list[Neighbour]] = [[] for _ in vectors]
    for row in connection.execute(text(_EXACT), _of(library) | _bounds(only) | asked):
        found[row.place - 1].append(_neighbour(row))
    return found


def _looked_up(
    connection: Connection, library: Library, vectors: Vectors, k: int, only: Only | None
) -> list[list[Neighbour]]:
    statement, parameters = lookup(library, vectors.shape[1], k, only)
    parameters |= newest(connection, library)
    prepare(connection)
    found = [
        [_neighbour(row) for row in connection.execute(text(statement), parameters | {"vector": _written(vector)})]
        for vector in vectors
    ]
    short = [place for place, near in enumerate(found) if len(near) < k]
    if short:
        connection.execute(text("SET LOCAL enable_sort = on"))
        for place, near in zip(short, _compared(connection, library, vectors[short], k, only), strict=True):
            found[place] = near
    return found


def _of(library: Library) -> dict[str, Any]:
    niches = None if library.niches is None else list(library.niches)
    return {"encoder": library.encoder, "niches": niches, "days": library.days}


def _bounds(only: Only | None) -> dict[str, Any]:
    return {"since": only.since if only else None, "until": only.until if only else None}


def _written(vector: Vectors) -> str:
    """As pgvector reads it; a float32 comes back as the same float32."""
    return f"[{','.join(map(repr, vector.tolist()))}]"


def _neighbour(row: Any) -> Neighbour:
    item = Item(
        row.video_id, row.title, row.channel_title, row.thumbnail_url, row.views_per_hour, row.outlier_multiple, row.day
    )
    return Neighbour(item, row.similarity)
