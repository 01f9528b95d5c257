"""Encode the thumbnails and titles that have no vector of the current encoders yet."""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Table, and_, func, select, text
from sqlalchemy.dialects.postgresql import insert

from thumblab_core.database.nearest_index import ensure_index
from thumblab_core.database.tables import embeddings, encoding_failures, thumbnails, videos
from thumblab_core.database.vectors import EARLIER, save_vectors
from thumblab_core.encoders.agreement import Agreement
from thumblab_core.encoders.learnt import LearntEncoder
from thumblab_core.encoders.load import image_encoder, image_encoder_name, named_image_encoder, title_encoder
from thumblab_core.encoders.precision import CALIBRATION, HELD_OUT, settle
from thumblab_core.encoders.protocol import NO_VECTOR, Vectors, usable
from thumblab_core.encoders.stream import encode_stream
from thumblab_core.images import ImageError, decode, digest
from thumblab_pipelines.steps.lab import Lab
from thumblab_pipelines.steps.learnt_vectors import PICTURE, TITLE, encode_pictures, encode_titles, without_vector
from thumblab_pipelines.steps.progress import Progress, batches, silent
from thumblab_pipelines.steps.verdict import Verdict

_BATCH = 64
_SAVED_AT_ONCE = 32
_NAMED = 10


@dataclass(frozen=True)
class Encoded:
    """How many vectors were there already, how many were made, and which pictures could not be read. `earlier` are those of
    pictures and titles that a video shows no more, and is learnt by.

    `without` names the videos whose picture or title the encoder makes no vector of, also those that it failed at before.
    `images_per_second` is of reading, decoding, encoding and saving together; `settled` says why the encoder computes as
    it does, where this run found that out.
    """

    had: int
    images: int
    titles: int
    earlier: int
    images_per_second: float
    unreadable: tuple[str, ...]
    without: tuple[str, ...]
    encoder: str
    settled: str | None


def embed(lab: Lab, niche: str, progress: Progress = silent) -> Encoded:
    """Write a vector per thumbnail and per title of the niche. Commits every batch; encodes nothing twice.

    Where the lab has so many that it is worth it, PostgreSQL has them indexed then.
    """
    pictures = _pictures(lab, niche)
    decided = settle_precision(lab, progress) if pictures.missing else None
    if decided is not None:  # of another precision, so none of these vectors is there
        pictures = _pictures(lab, niche)
    images, rate, unreadable = _embed_images(lab, niche, pictures, progress)
    words = _titles(lab, niche)
    titles = _embed_titles(lab, niche, words, progress)
    encoder = image_encoder(lab.settings).fingerprint
    ensure_index(lab.engine, encoder)
    earlier, no_longer_readable = _embed_earlier(lab, niche, progress)
    unreadable += no_longer_readable
    without = [f"{video_id}: its thumbnail: {NO_VECTOR}" for video_id in pictures.without]
    without += [f"{video_id}: its title: {NO_VECTOR}" for video_id in words.without]
    return Encoded(
        pictures.had + words.had, images, titles, earlier, rate, tuple(unreadable), tuple(without), encoder, decided
    )


@dataclass
class _Work:
    """What of a niche is to be encoded (`missing`: video, and SHA-256 or title), how many have a vector, and `without`, the
    videos that the encoder makes none of.
    """

    missing: list[tuple[str, str]]
    had: int
    without: list[str]


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


def _pictures(lab: Lab, niche: str) -> _Work:
    """The thumbnails of the niche, before the encoder of the settings."""
    encoder = image_encoder(lab.settings).fingerprint
    had, failed = _by(embeddings, encoder, thumbnails.c.sha256), _by(encoding_failures, encoder, thumbnails.c.sha256)
    statement = (
        select(
            videos.c.video_id,
            thumbnails.c.sha256,
            embeddings.c.video_id.label("had"),
            encoding_failures.c.video_id.label("failed"),
        )
        .join(thumbnails, thumbnails.c.video_id == videos.c.video_id)
        .outerjoin(embeddings, had)
        .outerjoin(encoding_failures, failed)
        .where(videos.c.niche == niche, thumbnails.c.sha256.is_not(None))
        .order_by(videos.c.video_id)
    )
    with lab.engine.connect() as connection:
        return _work(connection.execute(statement).all())


def _titles(lab: Lab, niche: str) -> _Work:
    """The titles of the niche, before the encoder of the settings."""
    encoder = title_encoder(lab.settings.title_encoder).fingerprint
    of_now = func.encode(func.sha256(func.convert_to(videos.c.title, "UTF8")), "hex")
    statement = (
        select(
            videos.c.video_id,
            videos.c.title,
            embeddings.c.video_id.label("had"),
            encoding_failures.c.video_id.label("failed"),
        )
        .outerjoin(embeddings, _by(embeddings, encoder, of_now))
        .outerjoin(encoding_failures, _by(encoding_failures, encoder, of_now))
        .where(videos.c.niche == niche)
        .order_by(videos.c.video_id)
    )
    with lab.engine.connect() as connection:
        return _work(connection.execute(statement).all())


def _by(table: Table, encoder: str, source: ColumnElement[str]) -> ColumnElement[bool]:
    """What the table knows of that encoder and the very picture or title."""
    return and_(table.c.video_id == videos.c.video_id, table.c.encoder == encoder, table.c.source_digest == source)


def _work(rows: Sequence[Any]) -> _Work:
    missing = [(row[0], row[1]) for row in rows if row.had is None and row.failed is None]
    without = [row.video_id for row in rows if row.had is None and row.failed is not None]
    return _Work(missing, len(rows) - len(missing) - len(without), without)


def _embed_images(lab: Lab, niche: str, work: _Work, progress: Progress) -> tuple[int, float, list[str]]:
    missing = work.missing
    if not missing:
        return 0, 0.0, []
    encoder = image_encoder(lab.settings)
    what = f"{niche}: encoding thumbnails"
    unreadable: list[str] = []
    made = done = 0
    unsaved: list[tuple[str, str]] = []
    failed: list[tuple[str, str]] = []
    vectors: list[Vectors] = []
    start = time.perf_counter()
    progress(what, 0, len(missing))
    for batch in encode_stream(encoder, (((v, sha), partial(lab.images.get, sha)) for v, sha in missing)):
        unreadable += [f"{video_id}: {sentence}" for (video_id, _), sentence in batch.unreadable]
        unsaved += batch.keys
        failed += batch.without
        work.without += [video_id for video_id, _ in batch.without]
        vectors.append(batch.vectors)
        made += len(batch.keys)
        done += len(batch)
        # A batch of a large model is four pictures: a commit for each would cost more than a crash may lose.
        if len(unsaved) + len(failed) >= _SAVED_AT_ONCE:
            _save(lab, encoder.fingerprint, unsaved, np.concatenate(vectors), failed)
            unsaved, vectors, failed = [], [], []
        rate = made / max(time.perf_counter() - start, 1e-9)
        progress(f"{what}, {rate:,.1f} a second", done, len(missing))
    if vectors:
        _save(lab, encoder.fingerprint, unsaved, np.concatenate(vectors), failed)
    return made, made / max(time.perf_counter() - start, 1e-9), unreadable


def _embed_titles(lab: Lab, niche: str, work: _Work, progress: Progress) -> int:
    encoder = title_encoder(lab.settings.title_encoder)
    made = 0
    for batch in batches(work.missing, _BATCH, f"{niche}: encoding titles", progress):
        vectors = encoder.encode_texts([title for _, title in batch])
        real = usable(vectors)
        sources = [(video_id, digest(title.encode())) for video_id, title in batch]
        failed = [source for source, is_real in zip(sources, real, strict=True) if not is_real]
        good = [source for source, is_real in zip(sources, real, strict=True) if is_real]
        _save(lab, encoder.fingerprint, good, vectors[real], failed)
        work.without += [video_id for video_id, _ in failed]
        made += len(good)
    return made


def _embed_earlier(lab: Lab, niche: str, progress: Progress) -> tuple[int, list[str]]:
    """What the videos show now was tried just now."""
    images, titles = image_encoder(lab.settings), title_encoder(lab.settings.title_encoder)
    pictures, words = (
        [source for source in without_vector(lab, what, encoder.fingerprint, niche) if source.table == EARLIER]
        for what, encoder in ((PICTURE, images), (TITLE, titles))
    )
    failed = encode_pictures(lab, images, pictures, progress) if pictures else []
    failed += encode_titles(lab, titles, words, progress)
    return len(pictures) + len(words) - len(failed), failed


def _save(
    lab: Lab, encoder: str, sources: list[tuple[str, str]], vectors: Vectors, failed: list[tuple[str, str]]
) -> None:
    with lab.engine.begin() as connection:
        if sources:
            save_vectors(connection, encoder, sources, vectors)
        if failed:
            rows = [{"video_id": v, "encoder": encoder, "source_digest": source} for v, source in sorted(failed)]
            statement = insert(encoding_failures).values(rows)
            fresh = {"source_digest": statement.excluded.source_digest}
            connection.execute(statement.on_conflict_do_update(index_elements=["video_id", "encoder"], set_=fresh))


def judge_embeddings(lab: Lab, niche: str) -> list[Verdict]:
    """Has every picture and title its vector, and has every vector length 1?"""
    statement = text("""
        SELECT count(t.sha256) AS pictures, count(*) AS titles,
               count(i.vector) AS image_vectors, count(n.vector) AS title_vectors,
               count(f.video_id) AS images_without, count(g.video_id) AS titles_without,
               string_agg(coalesce(f.video_id, g.video_id), ', ' ORDER BY v.video_id) AS without,
               count(*) FILTER (WHERE abs(vector_norm(i.vector) - 1) > 1e-3) AS odd_images,
               count(*) FILTER (WHERE abs(vector_norm(n.vector) - 1) > 1e-3) AS odd_titles
        FROM videos v
        LEFT JOIN thumbnails t USING (video_id)
        LEFT JOIN embeddings i ON i.video_id = v.video_id AND i.encoder = :image AND i.source_digest = t.sha256
        LEFT JOIN embeddings n ON n.video_id = v.video_id AND n.encoder = :title
             AND n.source_digest = encode(sha256(convert_to(v.title, 'UTF8')), 'hex')
        LEFT JOIN encoding_failures f ON i.vector IS NULL AND f.video_id = v.video_id AND f.encoder = :image
             AND f.source_digest = t.sha256
        LEFT JOIN encoding_failures g ON n.vector IS NULL AND g.video_id = v.video_id AND g.encoder = :title
             AND g.source_digest = encode(sha256(convert_to(v.title, 'UTF8')), 'hex')
        WHERE v.niche = :niche
    """)
    image, title = image_encoder(lab.settings), title_encoder(lab.settings.title_encoder)
    with lab.engine.connect() as connection:
        parameters = {"niche": niche, "image": image.fingerprint, "title": title.fingerprint}
        row = connection.execute(statement, parameters).one()
    # A picture that no longer decodes is reported by the step; one in a hundred is not a reason to stop the rest. Nor are
    # those that the encoder makes no vector of, unless it fails at most of them.
    pictures, titles = row.pictures - row.images_without, row.titles - row.titles_without
    broken = row.images_without * 2 > row.pictures or row.titles_without * 2 > row.titles
    explanation = f"{row.image_vectors} of {row.pictures} thumbnails and {row.title_vectors} of {row.titles} titles"
    if row.without:
        explanation += f"; the encoder makes no vector of {_shortened(row.without)}"
    if broken:
        explanation += "; its model is damaged: set THUMBLAB_IMAGE_ENCODER or THUMBLAB_TITLE_ENCODER to another one"
    return [
        Verdict(
            "complete",
            not broken and row.image_vectors >= 0.99 * pictures and row.title_vectors == titles,
            explanation,
        ),
        Verdict(
            "unit_length", row.odd_images + row.odd_titles == 0, f"{row.odd_images + row.odd_titles} of another length"
        ),
    ]


def _shortened(names: str) -> str:
    """The first few of many names."""
    several = names.split(", ")
    return ", ".join(several[:_NAMED]) + (f" and {len(several) - _NAMED} more" if len(several) > _NAMED else "")
