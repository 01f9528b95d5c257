"""The videos of one channel that its history is learnt from, and their vectors.

Which of them count: as at training (see `corpus.py`) ordinary videos of a minute or more with a picture, a count of views
and vectors of both of the model's encoders, and where the lab is to learn only from the opted-in, those of them that are.
But a channel's own history may have few views.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from sqlalchemy import text

from thumblab_core.database.vectors import save_vectors
from thumblab_core.encoders.load import image_encoder_name, named_image_encoder, title_encoder
from thumblab_core.encoders.protocol import usable
from thumblab_core.encoders.stream import encode_stream
from thumblab_core.errors import LabError
from thumblab_core.images import digest
from thumblab_core.releases import Release
from thumblab_pipelines.steps.corpus import MIN_SECONDS, whole_hashes
from thumblab_pipelines.steps.lab import Lab
from thumblab_pipelines.steps.progress import Progress, batches, silent
from thumblab_pipelines.steps.records import LONGEST_SHORT_S, VIDEO

if TYPE_CHECKING:
    import pandas as pd
    from sqlalchemy import Row

_BATCH = 64

_VIDEOS = """
SELECT v.video_id, v.niche, v.channel_id, v.title, v.published_at, v.format, v.duration_s, v.aspect_ratio,
       s.view_count AS views, s.era, s.observed_at,
       GREATEST(EXTRACT(EPOCH FROM s.observed_at - v.published_at) / 3600.0, 1.0)::float AS age_hours,
       t.sha256, t.phash::text AS phash, i.video_id IS NOT NULL AS image, n.source_digest AS title_digest,
       v.may_train IS TRUE OR v.source = 'catalogue' AS may_train
FROM videos v
LEFT JOIN LATERAL (SELECT observed_at, view_count, era FROM video_stats
                   WHERE video_stats.video_id = v.video_id AND view_count IS NOT NULL
                   ORDER BY observed_at DESC LIMIT 1) s ON true
LEFT JOIN thumbnails t ON t.video_id = v.video_id AND t.sha256 IS NOT NULL
LEFT JOIN embeddings i ON i.video_id = v.video_id AND i.encoder = :image AND i.source_digest = t.sha256
LEFT JOIN embeddings n ON n.video_id = v.video_id AND n.encoder = :title
WHERE v.channel_id = :channel
ORDER BY v.published_at, v.video_id
"""


def read_own(lab: Lab, channel_id: str, model: Release) -> tuple[pd.DataFrame, dict[str, int]]:
    """The channel's videos that count, in order of publication, and how many each rule left out, the first that applies.

    Vectors that are not there leave a video out; see `encode_own`.
    """
    import pandas as pd

    rows = _rows(lab, channel_id, model)
    corpus = pd.DataFrame(rows, columns=list(rows[0]._fields)) if rows else pd.DataFrame(columns=["video_id"])
    left_out: dict[str, int] = {}
    if corpus.empty:
        return corpus, left_out
    corpus = corpus.assign(phash=whole_hashes(corpus.phash))
    digests = [digest(title.encode()) for title in corpus.title]
    rules = {
        "no ordinary video (a Short, live or upcoming)": corpus.format != VIDEO,
        "of unknown length": corpus.duration_s.isna(),
        f"up to {LONGEST_SHORT_S} s and of unknown shape (may be a Short)": corpus.aspect_ratio.isna()
        & (corpus.duration_s <= LONGEST_SHORT_S),
        f"under {MIN_SECONDS} s": corpus.duration_s < MIN_SECONDS,
        "no count of views": ~(corpus.views.astype(float) > 0),
        "counted before it was published": corpus.observed_at < corpus.published_at,
        "no picture": corpus.sha256.isna(),
        "not encoded": ~(corpus.image.astype(bool) & (corpus.title_digest == digests)),
    }
    if lab.settings.train_only_on_opted_in:
        rules["not opted in to training"] = ~corpus.may_train.astype(bool)
    kept = np.ones(len(corpus), bool)
    for reason, bad in rules.items():
        taken = kept & np.asarray(bad, bool)
        if taken.any():
            left_out[reason] = int(taken.sum())
        kept &= ~taken
    return corpus[kept].reset_index(drop=True), left_out


def encode_own(lab: Lab, channel_id: str, model: Release, progress: Progress = silent) -> int:
    """Make the vectors of the channel's pictures and titles that the model's encoders have not made yet; how many.

    A picture that cannot be read stays without. Raises `LabError` when an encoder cannot be had, or is not the model's.
    """
    rows = _rows(lab, channel_id, model)
    pictures = [(row.video_id, row.sha256) for row in rows if row.sha256 is not None and not row.image]
    titles = [(row.video_id, row.title) for row in rows if row.title_digest != digest(row.title.encode())]
    if pictures:
        images = named_image_encoder(image_name(lab, model), lab.settings.releases)
        _same(images.fingerprint, str(model.info["image_encoder"]), "THUMBLAB_IMAGE_ENCODER")
        done = 0
        progress("encoding thumbnails", 0, len(pictures))
        for batch in encode_stream(images, (((v, sha), partial(lab.images.get, sha)) for v, sha in pictures)):
            _save(lab, images.fingerprint, batch.keys, batch.vectors)
            done += len(batch)
            progress("encoding thumbnails", done, len(pictures))
    if titles:
        words = title_encoder(lab.settings.title_encoder)
        _same(words.fingerprint, str(model.info["title_encoder"]), "THUMBLAB_TITLE_ENCODER")
        for part in batches(titles, _BATCH, "encoding titles", progress):
            sources = [(video_id, digest(title.encode())) for video_id, title in part]
            vectors = words.encode_texts([title for _, title in part])
            real = usable(vectors)
            _save(
                lab, words.fingerprint, [s for s, is_real in zip(sources, real, strict=True) if is_real], vectors[real]
            )
    return len(pictures) + len(titles)


def image_name(lab: Lab, model: Release) -> str:
    """The name of the model's image encoder; models that do not say it were made with the settings'."""
    return str(model.info.get("image_encoder_name") or image_encoder_name(lab.settings))


def _rows(lab: Lab, channel_id: str, model: Release) -> Sequence[Row[tuple[object, ...]]]:
    parameters = {
        "channel": channel_id,
        "image": model.info["image_encoder"],
        "title": model.info["title_encoder"],
    }
    with lab.engine.connect() as connection:
        return connection.execute(text(_VIDEOS), parameters).all()


def _save(lab: Lab, encoder: str, sources: Sequence[tuple[str, str]], vectors: np.ndarray) -> None:
    if sources:
        with lab.engine.begin() as connection:
            save_vectors(connection, encoder, sources, vectors)


def _same(ours: str, theirs: str, setting: str) -> None:
    if ours != theirs:
        raise LabError(
            f"the served model was made with the encoder {theirs} and this lab has {ours}; set {setting} to it"
        )
