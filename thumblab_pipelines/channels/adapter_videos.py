"""Select the videos to which a channel adapter is fitted, and make their vectors.

The model's training uses similar rules, see `dataset/corpus.py`. A usable video is an ordinary video of at least one
minute, with a picture and a count of views. A usable video also needs vectors from both encoders of the model. If the
lab is set to train only on opted-in videos, a usable video must be opted in too.

The model's training leaves out videos with few views, videos of more than an hour, and videos of small channels. The
adapter of a channel is fitted on these videos too. If the thumbnail or title of a video changed, the adapter uses the
first thumbnail, the first title, and the views from before the change.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from sqlalchemy import text

from thumblab_core.encoders.load import encoder_folder, image_encoder_name, named_image_encoder, title_encoder
from thumblab_core.encoders.protocol import NO_VECTOR
from thumblab_core.errors import LabError
from thumblab_core.images.stored_hashes import known_hashes
from thumblab_core.inclusion import SHORTEST_S
from thumblab_core.releases.place import release_place
from thumblab_core.releases.release import Release
from thumblab_pipelines.features.encoding import PICTURE, TITLE, Made, encode_pictures, encode_titles, without_vector
from thumblab_pipelines.features.encoding_work import PictureEncoding, TitleEncoding
from thumblab_pipelines.features.picture_words import PICTURE_WORDS
from thumblab_pipelines.features.stored_vectors import stored_vectors_query
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.progress import Progress, silent
from thumblab_pipelines.videos.records import LONGEST_SHORT_S, VIDEO
from thumblab_pipelines.videos.versions import CHANGED_FIRST, LACKS_COUNT, NEVER_COUNTED, NOT_KEPT, first_versions_query

if TYPE_CHECKING:
    import pandas as pd
    from sqlalchemy import Row

_log = logging.getLogger(__name__)

_CHANNELS = "video_id IN (SELECT video_id FROM videos WHERE channel_id = :channel)"
_VIDEOS = f"""
WITH learnt AS ({first_versions_query("v.channel_id = :channel")}),
vectors AS (SELECT DISTINCT video_id, encoder, source_digest FROM ({stored_vectors_query(_CHANNELS)}) of_channel)
SELECT v.video_id, v.niche, v.channel_id, COALESCE(p.title, v.title) AS title, v.published_at,
       v.format, v.duration_s, v.aspect_ratio,
       s.view_count AS views, s.era, s.observed_at,
       GREATEST(EXTRACT(EPOCH FROM s.observed_at - v.published_at) / 3600.0, 1.0)::float AS age_hours,
       p.sha256, p.phash::text AS phash, i.video_id IS NOT NULL AND n.video_id IS NOT NULL AS encoded,
       v.may_train IS TRUE OR v.source = 'catalogue' AS may_train, {LACKS_COUNT} AS lacks_count,
       {PICTURE_WORDS} AS picture_words, c.is_short
FROM videos v
LEFT JOIN learnt p ON p.video_id = v.video_id
LEFT JOIN LATERAL (SELECT observed_at, view_count, era FROM video_stats
                   WHERE video_stats.video_id = v.video_id AND view_count IS NOT NULL
                     AND (p.until IS NULL OR observed_at <= p.until)
                   ORDER BY observed_at DESC LIMIT 1) s ON true
LEFT JOIN true_ctr c ON c.video_id = v.video_id
LEFT JOIN vectors i ON i.video_id = v.video_id AND i.encoder = :image AND i.source_digest = p.sha256
LEFT JOIN visual_features f ON f.video_id = v.video_id AND f.sha256 = p.sha256
LEFT JOIN vectors n ON n.video_id = v.video_id AND n.encoder = :title AND n.source_digest = p.title_digest
WHERE v.channel_id = :channel
ORDER BY v.published_at, v.video_id
"""  # noqa: S608  (only constants are formatted in)


def read_channel_videos(lab: Lab, channel_id: str, model: Release) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return the channel's usable videos in order of publication, and the number of videos that each rule left out.

    A video that several rules leave out is counted only under the first of these rules. A video without vectors is left
    out. To make the vectors first, call `encode_channel_videos`.
    """
    import pandas as pd

    rows = _rows(lab, channel_id, model)
    corpus = (
        pd.DataFrame(rows, columns=list(rows[0]._fields))
        if rows
        else pd.DataFrame(columns=["video_id", "sha256", "title"])
    )
    left_out: dict[str, int] = {}
    if corpus.empty:
        return corpus, left_out
    corpus = corpus.assign(phash=pd.array(known_hashes(corpus.phash), dtype="Int64"))
    no_short = corpus.is_short.eq(False)  # The owner's export shows that the video is not a Short.
    rules = {
        "no ordinary video (a Short, live or upcoming)": corpus.format != VIDEO,
        "of unknown length (may be a Short)": corpus.duration_s.isna() & ~no_short,
        f"up to {LONGEST_SHORT_S} s and of unknown shape (may be a Short)": corpus.aspect_ratio.isna()
        & (corpus.duration_s <= LONGEST_SHORT_S)
        & ~no_short,
        f"under {SHORTEST_S} s": corpus.duration_s < SHORTEST_S,
        NOT_KEPT: corpus.lacks_count == NOT_KEPT,
        CHANGED_FIRST: corpus.lacks_count == CHANGED_FIRST,
        NEVER_COUNTED: ~(corpus.views.astype(float) > 0),
        "counted before it was published": corpus.observed_at < corpus.published_at,
        "no picture": corpus.sha256.isna(),
        "not encoded": ~corpus.encoded.astype(bool),
    }
    if lab.settings.train_only_on_opted_in:
        rules["not opted in to training"] = ~corpus.may_train.astype(bool)
    kept = np.ones(len(corpus), bool)
    for reason, applies in rules.items():
        dropped = kept & np.asarray(applies, bool)
        if dropped.any():
            left_out[reason] = int(dropped.sum())
        kept &= ~dropped
    return corpus[kept].drop(columns=["lacks_count", "is_short"]).reset_index(drop=True), left_out


def encode_channel_videos(lab: Lab, channel_id: str, model: Release, progress: Progress = silent) -> int:
    """Make the missing vectors of the channel's pictures and titles. Return how many vectors were made.

    A picture gets no vector if its file cannot be read, or if the encoder returns no valid vector. Each picture without
    a vector is logged. Raises `LabError` when an encoder cannot be loaded, or is not the encoder that the model was
    made with.
    """
    model_image_encoder, model_title_encoder = str(model.info["image_encoder"]), str(model.info["title_encoder"])
    pictures = without_vector(lab, PICTURE, model_image_encoder, channel=channel_id)
    titles = without_vector(lab, TITLE, model_title_encoder, channel=channel_id)
    results: list[Made] = []
    if pictures:
        name = image_name(lab, model)
        images = named_image_encoder(name, release_place(lab.settings))
        _require_same(images.fingerprint, model_image_encoder, "THUMBLAB_IMAGE_ENCODER")
        of_pictures = PictureEncoding(images, name, encoder_folder(lab.settings, images), lab.images)
        results.append(encode_pictures(lab, of_pictures, pictures, progress))
    if titles:
        words = title_encoder(lab.settings.title_encoder)
        _require_same(words.fingerprint, model_title_encoder, "THUMBLAB_TITLE_ENCODER")
        results.append(encode_titles(lab, TitleEncoding(words, lab.settings.title_encoder), titles, progress))
    for result in results:
        for sentence in (*result.unreadable, *(f"{video_id}: {NO_VECTOR}" for video_id in result.without)):
            _log.warning("%s", sentence)
    return sum(result.count for result in results)


def image_name(lab: Lab, model: Release) -> str:
    """Return the name of the model's image encoder. If the model does not store the name, return the name in the
    settings."""
    return str(model.info.get("image_encoder_name") or image_encoder_name(lab.settings))


def _rows(lab: Lab, channel_id: str, model: Release) -> Sequence[Row[tuple[object, ...]]]:
    parameters = {
        "channel": channel_id,
        "image": model.info["image_encoder"],
        "title": model.info["title_encoder"],
    }
    with lab.engine.connect() as connection:
        return connection.execute(text(_VIDEOS), parameters).all()


def _require_same(lab_encoder: str, model_encoder: str, setting: str) -> None:
    if lab_encoder != model_encoder:
        raise LabError(
            f"the served model was made with the encoder {model_encoder} and this lab has {lab_encoder}; "
            f"set {setting} to the model's encoder"
        )
