"""The vectors that videos are learnt by: of the picture and title that they showed while their views were counted.

Most videos show them still, and have them in `embeddings`. Of the others the vectors are in `earlier_embeddings`.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from sqlalchemy import text

from thumblab_core.database.vectors import CURRENT, EARLIER, save_vectors
from thumblab_core.encoders.protocol import NO_VECTOR, ImageEncoder, TextEncoder, Vectors, usable
from thumblab_core.encoders.stream import encode_stream
from thumblab_pipelines.steps.lab import Lab
from thumblab_pipelines.steps.progress import Progress, batches, silent
from thumblab_pipelines.steps.versions import LEARNT

_BATCH = 64

VECTORS = """
SELECT video_id, encoder, source_digest, vector FROM embeddings
UNION ALL
SELECT video_id, encoder, source_digest, vector FROM earlier_embeddings
"""
"""A query: every vector of what a video shows or has shown."""

PICTURE, TITLE = "p.sha256", "p.title_digest"


class Source(NamedTuple):
    """A picture or title that is to be encoded; `table` is where its vector belongs."""

    video_id: str
    digest: str
    title: str
    table: str


def without_vector(
    lab: Lab, what: str, encoder: str, niche: str | None = None, channel: str | None = None
) -> list[Source]:
    """The first pictures or titles (`PICTURE`, `TITLE`) of a niche or a channel of which the encoder has made no vector."""
    statement = text(f"""
        SELECT p.video_id, {what} AS digest, p.title, {what} = t.sha256 OR p.title = v.title AND :titles AS shown
        FROM ({LEARNT}) p JOIN videos v USING (video_id) LEFT JOIN thumbnails t USING (video_id)
        WHERE (v.niche = :niche OR v.channel_id = :channel)
          AND NOT EXISTS (SELECT 1 FROM ({VECTORS}) e
                          WHERE e.video_id = p.video_id AND e.encoder = :encoder AND e.source_digest = {what})
        ORDER BY p.video_id
    """)  # noqa: S608  (columns of ours)
    asked = {"niche": niche, "channel": channel, "encoder": encoder, "titles": what == TITLE}
    with lab.engine.connect() as connection:
        rows = connection.execute(statement, asked).all()
    return [Source(row.video_id, row.digest, row.title, CURRENT if row.shown else EARLIER) for row in rows]


def encode_pictures(
    lab: Lab, encoder: ImageEncoder, sources: Sequence[Source], progress: Progress = silent
) -> list[str]:
    """Save the vectors of these pictures, batch by batch; a sentence for each that has none."""
    unreadable: list[str] = []
    done = 0
    progress("encoding thumbnails", 0, len(sources))
    for batch in encode_stream(encoder, ((source, partial(lab.images.get, source.digest)) for source in sources)):
        _save(lab, encoder.fingerprint, batch.keys, batch.vectors)
        failed = [*batch.unreadable, *((source, NO_VECTOR) for source in batch.without)]
        unreadable += [f"{source.video_id}: {sentence}" for source, sentence in failed]
        done += len(batch)
        progress("encoding thumbnails", done, len(sources))
    return unreadable


def encode_titles(lab: Lab, encoder: TextEncoder, sources: Sequence[Source], progress: Progress = silent) -> list[str]:
    """Save the vectors of these titles, batch by batch; a sentence for each that has none."""
    failed: list[str] = []
    for part in batches(sources, _BATCH, "encoding titles", progress):
        vectors = encoder.encode_texts([source.title for source in part])
        real = usable(vectors)
        good = [source for source, is_real in zip(part, real, strict=True) if is_real]
        _save(lab, encoder.fingerprint, good, vectors[real])
        failed += [f"{source.video_id}: {NO_VECTOR}" for source in part if source not in good]
    return failed


def _save(lab: Lab, encoder: str, sources: Sequence[Source], vectors: Vectors) -> None:
    with lab.engine.begin() as connection:
        for table in (CURRENT, EARLIER):
            rows = [row for row, source in enumerate(sources) if source.table == table]
            named = [(sources[row].video_id, sources[row].digest) for row in rows]
            if named:
                save_vectors(connection, encoder, named, vectors[rows], table)
