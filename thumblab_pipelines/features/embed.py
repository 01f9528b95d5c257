"""Encode the thumbnails and titles that have no vector of the current encoders yet."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Table, and_, func, select, text

from thumblab_core.database.nearest_index import ensure_index
from thumblab_core.database.tables import embeddings, encoding_failures, thumbnails, videos
from thumblab_core.database.vectors import CURRENT, EARLIER
from thumblab_core.encoders.agreement import Agreement
from thumblab_core.encoders.learnt import LearntEncoder
from thumblab_core.encoders.load import image_encoder, image_encoder_name, named_image_encoder, title_encoder
from thumblab_core.encoders.precision import CALIBRATION, HELD_OUT, settle
from thumblab_core.encoders.protocol import NO_VECTOR
from thumblab_core.images import ImageError, decode
from thumblab_pipelines.checks import CheckResult
from thumblab_pipelines.features.learnt_vectors import (
    PICTURE,
    TITLE,
    Source,
    encode_pictures,
    encode_titles,
    without_vector,
)
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.progress import Progress, silent

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
    titles = _titles(lab, niche)
    images, words = image_encoder(lab.settings), title_encoder(lab.settings.title_encoder)
    made_pictures = encode_pictures(lab, images, pictures.missing, progress, niche)
    made_titles = encode_titles(lab, words, titles.missing, progress, niche)
    ensure_index(lab.engine, images.fingerprint)
    # Skip what is shown now: it has just been tried.
    earlier_pictures = _earlier(lab, PICTURE, images.fingerprint, niche)
    earlier_titles = _earlier(lab, TITLE, words.fingerprint, niche)
    made_earlier = encode_pictures(lab, images, earlier_pictures, progress, niche)
    made_earlier_titles = encode_titles(lab, words, earlier_titles, progress, niche)
    without = {
        "its thumbnail": pictures.without + made_pictures.without,
        "its title": titles.without + made_titles.without,
        "an earlier thumbnail of it": made_earlier.without,
        "an earlier title of it": made_earlier_titles.without,
    }
    return Encoded(
        pictures.had + titles.had,
        made_pictures.count,
        made_titles.count,
        made_earlier.count + made_earlier_titles.count,
        made_pictures.per_second,
        (*made_pictures.unreadable, *made_earlier.unreadable),
        tuple(f"{video_id}: {what}: {NO_VECTOR}" for what, ids in without.items() for video_id in ids),
        images.fingerprint,
        decided,
    )


@dataclass
class _Work:
    """What of a niche is to be encoded, how many have a vector, and `without`, the videos that the encoder makes none of."""

    missing: list[Source]
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
            thumbnails.c.sha256.label("digest"),
            videos.c.title,
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
            of_now.label("digest"),
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
    missing = [
        Source(row.video_id, row.digest, row.title, CURRENT) for row in rows if row.had is None and row.failed is None
    ]
    without = [row.video_id for row in rows if row.had is None and row.failed is not None]
    return _Work(missing, len(rows) - len(missing) - len(without), without)


def _earlier(lab: Lab, what: str, encoder: str, niche: str) -> list[Source]:
    return [source for source in without_vector(lab, what, encoder, niche) if source.table == EARLIER]


def check_embeddings(lab: Lab, niche: str) -> list[CheckResult]:
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
        explanation += (
            f"; the encoder makes no vector of {_shortened(row.without)} "
            f"(`thumblab index rebuild {niche}` has it try again)"
        )
    if broken:
        explanation += "; its model is damaged: set THUMBLAB_IMAGE_ENCODER or THUMBLAB_TITLE_ENCODER to another one"
    return [
        CheckResult(
            "complete",
            not broken and row.image_vectors >= 0.99 * pictures and row.title_vectors == titles,
            explanation,
        ),
        CheckResult(
            "unit_length", row.odd_images + row.odd_titles == 0, f"{row.odd_images + row.odd_titles} of another length"
        ),
    ]


def _shortened(names: str) -> str:
    """The first few of many names."""
    several = names.split(", ")
    return ", ".join(several[:_NAMED]) + (f" and {len(several) - _NAMED} more" if len(several) > _NAMED else "")
