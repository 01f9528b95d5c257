"""Read the library of a niche from PostgreSQL with one query."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import Connection, text

from thumblab_core.database.library_rows import FROM_LIBRARY, ITEM_FIELDS, SINCE, read_vectors
from thumblab_core.encoders.protocol import Vectors
from thumblab_core.index import Item
from thumblab_core.sub_scores import NAMES
from thumblab_core.sub_scores.distribution import ScoreDistribution
from thumblab_pipelines.lab import Lab

_LIBRARY = f"""
COPY (
WITH {SINCE}
SELECT {ITEM_FIELDS}, r.embedding
{FROM_LIBRARY}
  AND (:ids ::text[] IS NULL OR r.video_id = ANY(:ids ::text[]))
ORDER BY r.video_id
) TO STDOUT (FORMAT BINARY)
"""
_CONVERTED = 10_000
"""Number of vectors that are converted at a time."""
_TYPES = ("text", "text", "text", "text", "float8", "float8", "date", "int8", "text", "bytea")

# This query reads the sub-scores of current thumbnails, but only sub-scores from one version of the meter. The meter is
# the code that measures sub-scores.
_SCORES = f"""
SELECT {", ".join(NAMES)} FROM visual_features f JOIN thumbnails t ON t.video_id = f.video_id AND t.sha256 = f.sha256
WHERE f.video_id = ANY(:ids) AND f.version = :version
ORDER BY f.video_id
"""  # noqa: S608  (the names are constants)


@dataclass(frozen=True)
class LibraryRows:
    """The items of a niche's library and their unit vectors, float32 [n, d], in the same order.

    Everything that was committed before `as_of` is included. Nothing that was committed after `read_at` is included.
    `as_of` and `read_at` are times of the database's clock.
    """

    items: list[Item]
    vectors: Vectors
    as_of: datetime
    read_at: datetime


def read_library(lab: Lab, niche: str, encoder: str, ids: Sequence[str] | None = None) -> LibraryRows:
    """Return the items of the niche's library, with the vectors of their pictures.

    `encoder`: fingerprint of the encoder of these vectors. If `ids` is given, only the items with these video ids are
    returned.
    """
    parameters = {
        "niche": niche,
        "encoder": encoder,
        "days": lab.settings.library_days,
        "ids": None if ids is None else list(ids),
    }
    # SQLAlchemy has no function for COPY, so the database driver is called directly. The driver needs parameters in the
    # form %(name)s, and this line converts them from the form :name.
    statement = str(text(_LIBRARY).compile(dialect=lab.engine.dialect))
    items: list[Item] = []
    stored: list[bytes] = []
    # The vectors are converted block by block, because converting all of them at once would take several times the
    # memory.
    converted = bytearray()
    with lab.engine.connect() as connection:
        as_of = now(connection)
        cursor: Any = connection.connection.cursor()
        with cursor.copy(statement, parameters) as copy:
            copy.set_types(_TYPES)
            for *fields, vector in copy.rows():
                items.append(Item(*fields))
                stored.append(vector)
                if len(stored) == _CONVERTED:
                    converted += read_vectors(stored).data.cast("B")
                    stored.clear()
        read_at = now(connection)
    converted += read_vectors(stored).tobytes()
    vectors = np.frombuffer(converted, np.float32).reshape(len(items), -1 if items else 0)
    return LibraryRows(items, vectors, as_of, read_at)


def read_scores(lab: Lab, video_ids: Sequence[str], version: str) -> ScoreDistribution:
    """Return the distributions of the sub-scores of the videos in `video_ids`.

    `version` is a version of the meter, the code that measures sub-scores. Videos that this version has not measured
    are left out.
    """
    with lab.engine.connect() as connection:
        rows = connection.execute(text(_SCORES), {"ids": list(video_ids), "version": version}).mappings().all()
    values = {name: [row[name] for row in rows if row[name] is not None] for name in NAMES}
    return ScoreDistribution.of(version, len(rows), values)


def now(connection: Connection) -> datetime:
    """Return the current time of the database's clock, and not the time at which the transaction began."""
    moment: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    return moment
