"""Find pictures and titles without a vector, encode them, save their vectors, and record failures.

Training uses the first picture and title of each video. If the video still shows this picture and title, their vectors
are in `embeddings`. If the video has changed its picture or title, the vectors of the first picture and title are in
`earlier_embeddings`.
"""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from sqlalchemy import delete, select, text
from sqlalchemy.dialects.postgresql import insert

from thumblab_core.database.tables import encoding_failures, videos
from thumblab_core.database.vectors import CURRENT, EARLIER, save_vectors
from thumblab_core.encoders.protocol import Vectors
from thumblab_pipelines.features.encoding_work import PictureEncoding, Source, TitleEncoding
from thumblab_pipelines.features.stored_vectors import stored_vectors_query
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.progress import Progress, silent
from thumblab_pipelines.ray_cluster.computed import computed
from thumblab_pipelines.videos.deletion import lock_videos
from thumblab_pipelines.videos.versions import first_versions_query

PICTURE, TITLE = "p.sha256", "p.title_digest"
"""The two possible values of the argument `what` of `without_vector`.

Each value names a column of `first_versions_query`: the column that has the digest of the picture or of the title.
"""

_SAVED_AT_ONCE = 32


@dataclass
class Made:
    """The result of encoding pictures or titles.

    Attributes:
        count: number of vectors that were saved.
        per_second: vectors per second. The time includes reading, decoding and saving.
        unreadable: a sentence for each picture that could not be read.
        without: ids of the videos that got no valid vector from the encoder.
        places: for each process, the number of batches that it encoded.
    """

    count: int = 0
    per_second: float = 0.0
    unreadable: list[str] = field(default_factory=list)
    without: list[str] = field(default_factory=list)
    places: Counter[str] = field(default_factory=Counter)

    def add(self, more: "Made") -> None:
        """Add the result `more` of encoding further pictures or titles to this result."""
        seconds = sum(made.count / made.per_second for made in (self, more) if made.per_second > 0)
        self.count += more.count
        self.per_second = self.count / seconds if seconds > 0 else 0.0
        self.unreadable += more.unreadable
        self.without += more.without
        self.places += more.places


def without_vector(
    lab: Lab, what: str, encoder: str, niche: str | None = None, channel: str | None = None
) -> list[Source]:
    """Return the pictures or titles that have no vector from this encoder yet.

    Only the first picture or title of each video of `niche` or `channel` is returned. A picture or title is left out if
    the encoder returned no valid vector for it in an earlier run. `what`: `PICTURE` or `TITLE`. `encoder`: the
    fingerprint of the encoder.
    """
    of_scope = "video_id IN (SELECT video_id FROM videos WHERE niche = :niche OR channel_id = :channel)"
    stored = stored_vectors_query(f"encoder = :encoder AND {of_scope}")
    statement = text(f"""
        WITH first_versions AS ({first_versions_query(f"v.{of_scope}")}),
        tried AS (SELECT video_id, source_digest FROM ({stored}) stored
                  UNION ALL
                  SELECT video_id, source_digest FROM encoding_failures WHERE encoder = :encoder AND {of_scope})
        SELECT p.video_id, {what} AS digest, p.title, {what} = t.sha256 OR p.title = v.title AND :titles AS shown
        FROM first_versions p JOIN videos v USING (video_id) LEFT JOIN thumbnails t USING (video_id)
        WHERE p.until > '-infinity'
          AND NOT EXISTS (SELECT 1 FROM tried e WHERE e.video_id = p.video_id AND e.source_digest = {what})
        ORDER BY p.video_id
    """)  # noqa: S608  (columns and conditions come from this project's code)
    parameters = {"niche": niche, "channel": channel, "encoder": encoder, "titles": what == TITLE}
    with lab.engine.connect() as connection:
        rows = connection.execute(statement, parameters).all()
    return [Source(row.video_id, row.digest, row.title, CURRENT if row.shown else EARLIER) for row in rows]


def encode_pictures(
    lab: Lab, work: PictureEncoding, sources: Sequence[Source], progress: Progress = silent, niche: str | None = None
) -> Made:
    """Encode the pictures in `sources`, and commit their vectors in batches.

    If the settings name a Ray cluster, its workers encode. Only this process writes to the database.

    A picture for which the encoder returns no valid vector is recorded as a failure.

    `niche`: the niche that the progress messages name, or None.
    """
    made = Made()
    if not sources:
        return made
    step = "encoding thumbnails" if niche is None else f"{niche}: encoding thumbnails"
    good: list[Source] = []
    failed: list[Source] = []
    encoded: list[Vectors] = []
    done, start = 0, time.perf_counter()
    progress(step, 0, len(sources))
    for batch in computed(lab.settings, work, sources, made.places):
        made.unreadable += [f"{source.video_id}: {reason}" for source, reason in batch.unreadable]
        made.without += [source.video_id for source in batch.without]
        made.count += len(batch.keys)
        good += batch.keys
        failed += batch.without
        encoded.append(batch.vectors)
        done += len(batch)
        # A batch of a large model has only four pictures, and a commit after each batch would take much time. So
        # several batches are committed together. A crash loses only batches that are not committed yet.
        if len(good) + len(failed) >= _SAVED_AT_ONCE or done == len(sources):
            _save(lab, work.encoder.fingerprint, good, np.concatenate(encoded), failed)
            good, failed, encoded = [], [], []
        made.per_second = made.count / max(time.perf_counter() - start, 1e-9)
        progress(f"{step}, {made.per_second:,.1f} a second", done, len(sources))
    return made


def encode_titles(
    lab: Lab, work: TitleEncoding, sources: Sequence[Source], progress: Progress = silent, niche: str | None = None
) -> Made:
    """Encode the titles in `sources`, and commit their vectors in batches.

    If the settings name a Ray cluster, its workers encode. Only this process writes to the database.

    A title for which the encoder returns no valid vector is recorded as a failure.

    `niche`: the niche that the progress messages name, or None.
    """
    made = Made()
    if not sources:
        return made
    step = "encoding titles" if niche is None else f"{niche}: encoding titles"
    done = 0
    progress(step, 0, len(sources))
    for batch in computed(lab.settings, work, sources, made.places):
        _save(lab, work.encoder.fingerprint, batch.keys, batch.vectors, batch.without)
        made.count += len(batch.keys)
        made.without += [source.video_id for source in batch.without]
        done += len(batch)
        progress(step, done, len(sources))
    return made


def delete_encoding_failures(lab: Lab, niche: str) -> None:
    """Delete the recorded failures of the niche, so that the next run tries to encode these pictures and titles
    again."""
    of_niche = select(videos.c.video_id).where(videos.c.niche == niche)
    with lab.engine.begin() as connection:
        connection.execute(delete(encoding_failures).where(encoding_failures.c.video_id.in_(of_niche)))


def _save(lab: Lab, encoder: str, good: Sequence[Source], vectors: Vectors, failed: Sequence[Source]) -> None:
    """Save the vectors of the `good` sources, and record the `failed` sources, in one transaction.

    Videos that were deleted while their pictures or titles were encoded are left out.
    """
    with lab.engine.begin() as connection:
        present = lock_videos(connection, {source.video_id for source in (*good, *failed)})
        failed = [source for source in failed if source.video_id in present]
        for table in (CURRENT, EARLIER):
            rows = [row for row, each in enumerate(good) if each.table == table and each.video_id in present]
            keys = [(good[row].video_id, good[row].digest) for row in rows]
            if keys:
                save_vectors(connection, encoder, keys, vectors[rows], table)
        if failed:
            failures = [
                {"video_id": source.video_id, "encoder": encoder, "source_digest": source.digest} for source in failed
            ]
            connection.execute(insert(encoding_failures).values(failures).on_conflict_do_nothing())
