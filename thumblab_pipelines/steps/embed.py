"""Encode the thumbnails and titles that have no vector of the current encoders yet."""

import time
from dataclasses import dataclass

from sqlalchemy import and_, literal, select, text
from sqlalchemy.dialects.postgresql import insert

from thumblab_core.database.tables import embeddings, thumbnails, videos
from thumblab_core.encoders.load import image_encoder, title_encoder
from thumblab_core.encoders.protocol import Vectors
from thumblab_core.images import ImageError, decode, digest
from thumblab_pipelines.steps.lab import Lab
from thumblab_pipelines.steps.progress import Progress, batches, silent
from thumblab_pipelines.steps.verdict import Verdict

_BATCH = 64


@dataclass(frozen=True)
class Encoded:
    """How many vectors were there already, how many were made, and which pictures could not be read."""

    had: int
    images: int
    titles: int
    images_per_second: float
    unreadable: tuple[str, ...]


def embed(lab: Lab, niche: str, progress: Progress = silent) -> Encoded:
    """Write a vector per thumbnail and per title of the niche. Commits every batch; encodes nothing twice."""
    had_images, images, rate, unreadable = _embed_images(lab, niche, progress)
    had_titles, titles = _embed_titles(lab, niche, progress)
    return Encoded(had_images + had_titles, images, titles, rate, tuple(unreadable))


def _embed_images(lab: Lab, niche: str, progress: Progress) -> tuple[int, int, float, list[str]]:
    encoder = image_encoder(lab.settings.image_encoder)
    had = and_(
        embeddings.c.video_id == videos.c.video_id,
        embeddings.c.encoder == encoder.fingerprint,
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
    missing = [row for row in rows if row.had is None]
    unreadable: list[str] = []
    start = time.perf_counter()
    for batch in batches(missing, _BATCH, f"{niche}: encoding thumbnails", progress):
        readable: list[tuple[str, str]] = []
        pictures = []
        for row in batch:
            try:
                pictures.append(decode(lab.images.get(row.sha256)).pixels)
                readable.append((row.video_id, row.sha256))
            except ImageError as error:
                unreadable.append(f"{row.video_id}: {error}")
        _save(lab, encoder.fingerprint, readable, encoder.encode_images(pictures))
    made = len(missing) - len(unreadable)
    return len(rows) - len(missing), made, made / max(time.perf_counter() - start, 1e-9), unreadable


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


def _save(lab: Lab, encoder: str, sources: list[tuple[str, str]], vectors: Vectors) -> None:
    if not sources:
        return
    statement = insert(embeddings).values(
        [
            {"video_id": video_id, "encoder": encoder, "source_digest": source, "vector": vector}
            for (video_id, source), vector in zip(sources, vectors, strict=True)
        ]
    )
    with lab.engine.begin() as connection:
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["video_id", "encoder"],
                set_={"source_digest": statement.excluded.source_digest, "vector": statement.excluded.vector},
            )
        )


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
    image, title = image_encoder(lab.settings.image_encoder), title_encoder(lab.settings.title_encoder)
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
