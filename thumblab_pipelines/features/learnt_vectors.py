"""The vectors that videos are learnt by: of the picture and title that they showed while their views were counted.

Most videos show them still, and have them in `embeddings`. Of the others the vectors are in `earlier_embeddings`.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np
from sqlalchemy import delete, select, text
from sqlalchemy.dialects.postgresql import insert

from thumblab_core.database.tables import encoding_failures, videos
from thumblab_core.database.vectors import CURRENT, EARLIER, save_vectors
from thumblab_core.encoders.protocol import ImageEncoder, TextEncoder, Vectors, usable
from thumblab_core.encoders.stream import encode_stream
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.progress import Progress, batches, silent
from thumblab_pipelines.videos.versions import learnt

_BATCH = 64
_SAVED_AT_ONCE = 32


def vectors(where: str = "true") -> str:
    """A query: every vector of what a video shows or has shown. `where` chooses among their rows."""
    return f"""
        SELECT video_id, encoder, source_digest, vector FROM embeddings WHERE {where}
        UNION ALL
        SELECT video_id, encoder, source_digest, vector FROM earlier_embeddings WHERE {where}
    """  # noqa: S608  (conditions of ours)


PICTURE, TITLE = "p.sha256", "p.title_digest"


class Source(NamedTuple):
    """A picture or title that is to be encoded; `table` is where its vector belongs."""

    video_id: str
    digest: str
    title: str
    table: str


@dataclass
class Made:
    """How many vectors were made, and how many a second with reading, decoding and saving; a sentence for each picture that
    could not be read, and the videos `without`: the encoder makes no vector of what was tried.
    """

    count: int = 0
    per_second: float = 0.0
    unreadable: list[str] = field(default_factory=list)
    without: list[str] = field(default_factory=list)


def without_vector(
    lab: Lab, what: str, encoder: str, niche: str | None = None, channel: str | None = None
) -> list[Source]:
    """The first pictures or titles (`PICTURE`, `TITLE`) of a niche or a channel of which the encoder has made no vector,
    save those of which it makes none.
    """
    chosen = "video_id IN (SELECT video_id FROM videos WHERE niche = :niche OR channel_id = :channel)"
    statement = text(f"""
        WITH learnt AS ({learnt(f"v.{chosen}")}),
        tried AS (SELECT video_id, source_digest FROM ({vectors(f"encoder = :encoder AND {chosen}")}) made
                  UNION ALL
                  SELECT video_id, source_digest FROM encoding_failures WHERE encoder = :encoder AND {chosen})
        SELECT p.video_id, {what} AS digest, p.title, {what} = t.sha256 OR p.title = v.title AND :titles AS shown
        FROM learnt p JOIN videos v USING (video_id) LEFT JOIN thumbnails t USING (video_id)
        WHERE p.until > '-infinity'
          AND NOT EXISTS (SELECT 1 FROM tried e WHERE e.video_id = p.video_id AND e.source_digest = {what})
        ORDER BY p.video_id
    """)  # noqa: S608  (columns of ours)
    asked = {"niche": niche, "channel": channel, "encoder": encoder, "titles": what == TITLE}
    with lab.engine.connect() as connection:
        rows = connection.execute(statement, asked).all()
    return [Source(row.video_id, row.digest, row.title, CURRENT if row.shown else EARLIER) for row in rows]


def encode_pictures(
    lab: Lab, encoder: ImageEncoder, sources: Sequence[Source], progress: Progress = silent, niche: str | None = None
) -> Made:
    """Save the vectors of these pictures, batch by batch, and of which of them the encoder makes none."""
    made = Made()
    if not sources:
        return made
    what = "encoding thumbnails" if niche is None else f"{niche}: encoding thumbnails"
    good: list[Source] = []
    failed: list[Source] = []
    encoded: list[Vectors] = []
    done, start = 0, time.perf_counter()
    progress(what, 0, len(sources))
    for batch in encode_stream(encoder, ((source, partial(lab.images.get, source.digest)) for source in sources)):
        made.unreadable += [f"{source.video_id}: {sentence}" for source, sentence in batch.unreadable]
        made.without += [source.video_id for source in batch.without]
        made.count += len(batch.keys)
        good += batch.keys
        failed += batch.without
        encoded.append(batch.vectors)
        done += len(batch)
        # A batch of a large model is four pictures: a commit for each would cost more than a crash may lose.
        if len(good) + len(failed) >= _SAVED_AT_ONCE or done == len(sources):
            _save(lab, encoder.fingerprint, good, np.concatenate(encoded), failed)
            good, failed, encoded = [], [], []
        made.per_second = made.count / max(time.perf_counter() - start, 1e-9)
        progress(f"{what}, {made.per_second:,.1f} a second", done, len(sources))
    return made


def encode_titles(
    lab: Lab, encoder: TextEncoder, sources: Sequence[Source], progress: Progress = silent, niche: str | None = None
) -> Made:
    """Save the vectors of these titles, batch by batch, and of which of them the encoder makes none."""
    made = Made()
    what = "encoding titles" if niche is None else f"{niche}: encoding titles"
    for batch in batches(sources, _BATCH, what, progress):
        encoded = encoder.encode_texts([source.title for source in batch])
        real = usable(encoded)
        good = [source for source, is_real in zip(batch, real, strict=True) if is_real]
        failed = [source for source, is_real in zip(batch, real, strict=True) if not is_real]
        _save(lab, encoder.fingerprint, good, encoded[real], failed)
        made.count += len(good)
        made.without += [source.video_id for source in failed]
    return made


def forget_failures(lab: Lab, niche: str) -> None:
    """Have every encoder try again what it has made no vector of."""
    of_niche = select(videos.c.video_id).where(videos.c.niche == niche)
    with lab.engine.begin() as connection:
        connection.execute(delete(encoding_failures).where(encoding_failures.c.video_id.in_(of_niche)))


def _save(lab: Lab, encoder: str, good: Sequence[Source], vectors: Vectors, failed: Sequence[Source]) -> None:
    with lab.engine.begin() as connection:
        for table in (CURRENT, EARLIER):
            rows = [row for row, source in enumerate(good) if source.table == table]
            named = [(good[row].video_id, good[row].digest) for row in rows]
            if named:
                save_vectors(connection, encoder, named, vectors[rows], table)
        if failed:
            tried = [{"video_id": one.video_id, "encoder": encoder, "source_digest": one.digest} for one in failed]
            connection.execute(insert(encoding_failures).values(tried).on_conflict_do_nothing())
