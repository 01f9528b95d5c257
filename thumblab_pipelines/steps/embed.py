"""Encode the thumbnails and titles that have no vector of the current encoders yet."""

import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import numpy as np
from sqlalchemy import and_, literal, select, text

from thumblab_core.database.nearest_index import ensure_index
from thumblab_core.database.tables import embeddings, thumbnails, videos
from thumblab_core.database.vectors import EARLIER, save_vectors
from thumblab_core.encoders.agreement import Agreement
from thumblab_core.encoders.learnt import LearntEncoder
from thumblab_core.encoders.load import image_encoder, image_encoder_name, named_image_encoder, title_encoder
from thumblab_core.encoders.precision import CALIBRATION, HELD_OUT, settle
from thumblab_core.encoders.protocol import Vectors
from thumblab_core.encoders.stream import encode_stream
from thumblab_core.images import ImageError, decode, digest
from thumblab_pipelines.steps.lab import Lab
from thumblab_pipelines.steps.learnt_vectors import PICTURE, TITLE, encode_pictures, encode_titles, without_vector
from thumblab_pipelines.steps.progress import Progress, batches, silent
from thumblab_pipelines.steps.verdict import Verdict

_BATCH = 64
_SAVED_AT_ONCE = 32


@dataclass(frozen=True)
class Encoded:
    """How many vectors were there already, how many were made, and which pictures could not be read. `earlier` are those of
    pictures and titles that a video shows no more, and is learnt by.

    `images_per_second` is of reading, decoding, encoding and saving together; `settled` says why the encoder computes as
    it does, where this run found that out.
    """

    had: int
    images: int
    titles: int
    earlier: int
    images_per_second: float
    unreadable: tuple[str, ...]
    encoder: str
    settled: str | None


def embed(lab: Lab, niche: str, progress: Progress = silent) -> Encoded:
    """Write a vector per thumbnail and per title of the niche. Commits every batch; encodes nothing twice.

    Where the lab has so many that it is worth it, PostgreSQL has them indexed then.
    """
    missing, had_images = _without_vector(lab, niche)
    decided = settle_precision(lab, progress) if missing else None
    if decided is not None:  # of another precision, so none of these vectors is there
        missing, had_images = _without_vector(lab, niche)
    images, rate, unreadable = _embed_images(lab, niche, missing, progress)
    had_titles, titles = _embed_titles(lab, niche, progress)
    encoder = image_encoder(lab.settings).fingerprint
    ensure_index(lab.engine, encoder)
    earlier, no_longer_readable = _embed_earlier(lab, niche, progress)
    unreadable += no_longer_readable
    return Encoded(had_images + had_titles, images, titles, earlier, rate, tuple(unreadable), encoder, decided)


def settle_precision(lab: Lab, progress: Progress = silent) -> str | None:
    """Find the fastest precision that the encoder can be trusted at, and say which; None when there is nothing to find.

    Judged on pictures of the library itself, drawn over all niches; a library of fewer than are needed stays with float32
    for now, and makes its few vectors anew when it has grown.
    """
    encoder, asked = image_encoder(lab.settings), lab.settings.encoder_precision
    # Whatever was settled, or cannot be, shows in the name.
    if not isinstance(encoder, LearntEncoder) or asked == "float32" or "@" in image_encoder_name(lab.settings):
        return None
    needed = CALIBRATION + HELD_OUT
    # In the order of their hashes: as good as drawn by lot, and the same on every day.
    statement = select(thumbnails.c.sha256).where(thumbnails.c.sha256.is_not(None)).order_by(thumbnails.c.sha256)
    with lab.engine.connect() as connection:
        known = connection.execute(statement.distinct().limit(2 * needed)).scalars().all()
    if len(known) < needed or not encoder.quantisable:
        return None
    prepared = []
    for sha256 in known:
        with suppress(ImageError):  # one that cannot be read is reported where it is encoded
            prepared.append(encoder.prepare(decode(lab.images.get(sha256), encoder.decode_size).pixels))
        if len(prepared) == needed:
            found = settle(encoder, lab.releases, asked, prepared, progress)
            named_image_encoder.cache_clear()  # the model in float32 is not needed any more: 1.7 GB of ViT-L/14
            refused = "".join(f"; not {reason}" for reason in found.refused)
            return f"{found.precision} ({Agreement(**found.release.info['agreement'])}){refused}"
    return None


def _without_vector(lab: Lab, niche: str) -> tuple[list[tuple[str, str]], int]:
    """The thumbnails (video, SHA-256) that have no vector of the encoder, and how many others have one."""
    had = and_(
        embeddings.c.video_id == videos.c.video_id,
        embeddings.c.encoder == image_encoder(lab.settings).fingerprint,
        embeddings.c.source_digest == thumbnails.c.sha256,
    )
    statement = (
        select(videos.c.video_id, thumbnails.c.sha256, embeddings.c.video_id.label("had"))
        .join(thumbnails, thumbnails.c.video_id == videos.c.video_id)
        .outerjoin(embeddings, had)
        .where(videos.c.niche == niche, thumbnails.c.sha256.is_not(None))
        .order_by(videos.c.video_id)
    )
    with lab.engine.connect() as connection:
        rows = connection.execute(statement).all()
    missing = [(row.video_id, row.sha256) for row in rows if row.had is None]
    return missing, len(rows) - len(missing)


def _embed_images(
    lab: Lab, niche: str, missing: list[tuple[str, str]], progress: Progress
) -> tuple[int, float, list[str]]:
    if not missing:
        return 0, 0.0, []
    encoder = image_encoder(lab.settings)
    what = f"{niche}: encoding thumbnails"
    unreadable: list[str] = []
    made = 0
    unsaved: list[tuple[str, str]] = []
    vectors: list[Vectors] = []
    start = time.perf_counter()
    progress(what, 0, len(missing))
    for batch in encode_stream(encoder, (((v, sha), partial(lab.images.get, sha)) for v, sha in missing)):
        unreadable += [f"{video_id}: {sentence}" for (video_id, _), sentence in batch.unreadable]
        unsaved += batch.keys
        vectors.append(batch.vectors)
        made += len(batch.keys)
        # A batch of a large model is four pictures: a commit for each would cost more than a crash may lose.
        if len(unsaved) >= _SAVED_AT_ONCE:
            _save(lab, encoder.fingerprint, unsaved, np.concatenate(vectors))
            unsaved, vectors = [], []
        rate = made / max(time.perf_counter() - start, 1e-9)
        progress(f"{what}, {rate:,.1f} a second", made + len(unreadable), len(missing))
    if unsaved:
        _save(lab, encoder.fingerprint, unsaved, np.concatenate(vectors))
    return made, made / max(time.perf_counter() - start, 1e-9), unreadable


def _embed_titles(lab: Lab, niche: str, progress: Progress) -> tuple[int, int]:
    encoder = title_encoder(lab.settings.title_encoder)
    statement = (
        select(videos.c.video_id, videos.c.title, embeddings.c.source_digest)
        .outerjoin(
            embeddings,
            and_(embeddings.c.video_id == videos.c.video_id, embeddings.c.encoder == literal(encoder.fingerprint)),
        )
        .where(videos.c.niche == niche)
        .order_by(videos.c.video_id)
    )
    with lab.engine.connect() as connection:
        rows = connection.execute(statement).all()
    missing = [(row.video_id, row.title) for row in rows if row.source_digest != digest(row.title.encode())]
    for batch in batches(missing, _BATCH, f"{niche}: encoding titles", progress):
        vectors = encoder.encode_texts([title for _, title in batch])
        _save(lab, encoder.fingerprint, [(video_id, digest(title.encode())) for video_id, title in batch], vectors)
    return len(rows) - len(missing), len(missing)


def _embed_earlier(lab: Lab, niche: str, progress: Progress) -> tuple[int, list[str]]:
    images, titles = image_encoder(lab.settings), title_encoder(lab.settings.title_encoder)
    pictures = [
        source
        for source in without_vector(lab, PICTURE, images.fingerprint, niche)
        if source.table == EARLIER  # of the others it was said just now that they cannot be read
    ]
    unreadable = encode_pictures(lab, images, pictures, progress) if pictures else []
    words = without_vector(lab, TITLE, titles.fingerprint, niche)
    encode_titles(lab, titles, words, progress)
    return len(pictures) - len(unreadable) + len(words), unreadable


def _save(lab: Lab, encoder: str, sources: list[tuple[str, str]], vectors: Vectors) -> None:
    if not sources:
        return
    with lab.engine.begin() as connection:
        save_vectors(connection, encoder, sources, vectors)


def judge_embeddings(lab: Lab, niche: str) -> list[Verdict]:
    """Has every picture and title its vector, and has every vector length 1?"""
    statement = text("""
        SELECT count(t.sha256) AS pictures, count(*) AS titles,
               count(i.vector) AS image_vectors, count(n.vector) AS title_vectors,
               count(*) FILTER (WHERE abs(vector_norm(i.vector) - 1) > 1e-3) AS odd_images,
               count(*) FILTER (WHERE abs(vector_norm(n.vector) - 1) > 1e-3) AS odd_titles
        FROM videos v
        LEFT JOIN thumbnails t USING (video_id)
        LEFT JOIN embeddings i ON i.video_id = v.video_id AND i.encoder = :image AND i.source_digest = t.sha256
        LEFT JOIN embeddings n ON n.video_id = v.video_id AND n.encoder = :title
             AND n.source_digest = encode(sha256(convert_to(v.title, 'UTF8')), 'hex')
        WHERE v.niche = :niche
    """)
    image, title = image_encoder(lab.settings), title_encoder(lab.settings.title_encoder)
    with lab.engine.connect() as connection:
        parameters = {"niche": niche, "image": image.fingerprint, "title": title.fingerprint}
        row = connection.execute(statement, parameters).one()
    # A picture that no longer decodes is reported by the step; one in a hundred is not a reason to stop the rest.
    complete = row.image_vectors >= 0.99 * row.pictures and row.title_vectors == row.titles
    return [
        Verdict(
            "complete",
            complete,
            f"{row.image_vectors} of {row.pictures} thumbnails and {row.title_vectors} of {row.titles} titles",
        ),
        Verdict(
            "unit_length", row.odd_images + row.odd_titles == 0, f"{row.odd_images + row.odd_titles} of another length"
        ),
    ]
