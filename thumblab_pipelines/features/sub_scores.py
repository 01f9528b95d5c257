"""Measure the six sub-scores of each thumbnail that the current version of the meter has not measured yet."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, and_, func, not_, or_, select
from sqlalchemy.dialects.postgresql import insert

from thumblab_core.database.tables import embeddings, thumbnails, videos, visual_features
from thumblab_core.encoders.load import encoder_folder, image_encoder, image_encoder_name, title_encoder
from thumblab_core.encoders.protocol import CrossModalEncoder, Vectors, text_tower
from thumblab_core.model_files import face_model
from thumblab_core.sub_scores import NAMES, Measurement, Meter
from thumblab_pipelines.checks import CheckResult
from thumblab_pipelines.features.crawl_turn import CrawlTurn, kept_by_crawl
from thumblab_pipelines.features.measuring_work import Measuring, Models, Unmeasured
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.progress import Progress, batches, silent
from thumblab_pipelines.ray_cluster.computed import computed
from thumblab_pipelines.videos.deletion import lock_videos

_BATCH = 64


@dataclass
class Measured:
    """The result of measuring a niche.

    Attributes:
        had: number of thumbnails that already had their sub-scores.
        measured: number of thumbnails that were measured.
        unreadable: a sentence for each thumbnail that could not be read.
        pictures_per_second: measured thumbnails per second.
        matched: how many titles were compared with the picture, how many with the text in the picture, and how many
            with nothing.
        missing: a sentence for each program that is not installed: the text reader or the face model. The sentence says
            what was not measured without this program, and what to install.
        left: number of thumbnails of the crawl's videos that this run has left to runs in the background.
        places: for each process, the number of thumbnails that it measured, see `computed`.
    """

    had: int
    measured: int = 0
    unreadable: list[str] = field(default_factory=list)
    pictures_per_second: float = 0.0
    matched: Counter[str] = field(default_factory=Counter)
    missing: tuple[str, ...] = ()
    left: int = 0
    places: Counter[str] = field(default_factory=Counter)


def measure_features(lab: Lab, niche: str, progress: Progress = silent, crawl_seconds: float | None = None) -> Measured:
    """Measure and save the sub-scores of each thumbnail of the niche, and commit every batch.

    If the settings name a Ray cluster, its workers measure. Only this process writes to the database.

    Thumbnails that already have sub-scores from the current version of the meter are not measured again.

    `crawl_seconds`: for how many seconds the crawl's videos are measured, after all other videos (see `CrawlTurn`). If
    `crawl_seconds` is None, all of the crawl's videos are measured.
    """
    work = _measuring(lab)
    version = work.version
    statement = (
        select(videos.c.video_id, videos.c.title, thumbnails.c.sha256, visual_features.c.video_id.label("had"))
        .join(thumbnails, thumbnails.c.video_id == videos.c.video_id)
        .outerjoin(visual_features, _current(version))
        .where(videos.c.niche == niche, thumbnails.c.sha256.is_not(None))
        .order_by(videos.c.video_id)
    )
    with lab.engine.connect() as connection:
        rows = connection.execute(statement).all()
    result = Measured(sum(row.had is not None for row in rows))
    turn = CrawlTurn(lab, niche, crawl_seconds)
    waiting, crawled = turn.split([row for row in rows if row.had is None], lambda row: str(row.video_id))
    start = time.perf_counter()

    def measure(some: Sequence[Any]) -> None:
        measurements = computed(lab.settings, work, _unmeasured(lab, work.tower, some), result.places)
        for batch in batches(some, _BATCH, f"{niche}: measuring", progress):
            values = []
            for row in batch:
                measurement = next(measurements)
                if not isinstance(measurement, Measurement):
                    result.unreadable.append(f"{row.video_id}: {measurement}")
                    continue
                columns = _columns(measurement)
                values.append({"video_id": row.video_id, "sha256": row.sha256, "version": version, **columns})
                result.matched[measurement.evidence.title_match_by or "nothing"] += 1
                result.missing = measurement.evidence.missing
            _save(lab, values)
            result.measured += len(values)

    measure(waiting)
    turn.spend(crawled, measure)
    result.left = turn.left
    result.pictures_per_second = result.measured / max(time.perf_counter() - start, 1e-9)
    return result


def _unmeasured(lab: Lab, tower: CrossModalEncoder | None, rows: Sequence[Any]) -> Iterator[Unmeasured]:
    """Yield the picture of each row. If `tower` is given, each picture also has its stored vector."""
    for start in range(0, len(rows), _BATCH):
        batch = rows[start : start + _BATCH]
        vectors = {} if tower is None else _image_vectors(lab, tower.fingerprint, batch)
        for row in batch:
            yield Unmeasured(row.sha256, row.title, vectors.get(row.video_id))


def _image_vectors(lab: Lab, encoder: str, rows: Sequence[Any]) -> dict[str, Vectors]:
    """Return the stored vectors of the rows' pictures. The key of each vector is the id of the video.

    `encoder`: the fingerprint of the encoder that made the vectors.
    """
    statement = (
        select(embeddings.c.video_id, embeddings.c.vector)
        .join(thumbnails, thumbnails.c.video_id == embeddings.c.video_id)
        .where(
            embeddings.c.video_id.in_([row.video_id for row in rows]),
            embeddings.c.encoder == encoder,
            embeddings.c.source_digest == thumbnails.c.sha256,
        )
    )
    with lab.engine.connect() as connection:
        return {row.video_id: np.asarray(row.vector, np.float32) for row in connection.execute(statement)}


def _columns(measurement: Measurement) -> dict[str, Any]:
    """Return the values of the columns of `visual_features` for a measurement."""
    scores = {name: measurement.scores[name].value for name in NAMES}
    return {**scores, "evidence": measurement.evidence.as_json()}


def _save(lab: Lab, values: list[dict[str, Any]]) -> None:
    """Save rows of `visual_features`. Videos that were deleted while they were measured are left out."""
    if not values:
        return
    statement = insert(visual_features)
    changed = {name: statement.excluded[name] for name in ("sha256", "version", *NAMES, "evidence")}
    with lab.engine.begin() as connection:
        present = lock_videos(connection, {row["video_id"] for row in values})
        rows = [row for row in values if row["video_id"] in present]
        if rows:
            statement = statement.values(rows).on_conflict_do_update(index_elements=["video_id"], set_=changed)
            connection.execute(statement)


def _measuring(lab: Lab) -> Measuring:
    """Return a `Measuring` that uses the models that the settings name. No model is loaded yet."""
    chosen, encoder = lab.settings, image_encoder(lab.settings)
    tower, faces = text_tower(encoder), face_model(lab.settings)
    meter = Meter(faces, None if tower is not None else title_encoder(chosen.title_encoder))
    models = Models(
        image_encoder_name(chosen), encoder_folder(chosen, encoder), chosen.title_encoder, faces and faces.resolve()
    )
    return Measuring(meter, tower, models, lab.images)


def meter_version(lab: Lab) -> str:
    """Return the version of the meter with the present settings. Rows with another version count as not measured."""
    return _measuring(lab).version


def _current(version: str) -> ColumnElement[bool]:
    """Return an SQL condition for sub-scores that this version of the meter measured on the current thumbnail."""
    return and_(
        visual_features.c.video_id == thumbnails.c.video_id,
        visual_features.c.sha256 == thumbnails.c.sha256,
        visual_features.c.version == version,
    )


def waiting_for_meter(lab: Lab, niche: str) -> int:
    """Return how many thumbnails of the crawl's videos in the niche are not measured yet."""
    statement = (
        select(func.count())
        .select_from(thumbnails)
        .join(videos, videos.c.video_id == thumbnails.c.video_id)
        .outerjoin(visual_features, _current(meter_version(lab)))
        .where(
            videos.c.niche == niche,
            thumbnails.c.sha256.is_not(None),
            visual_features.c.video_id.is_(None),
            thumbnails.c.video_id.in_(kept_by_crawl(niche)),
        )
    )
    with lab.engine.connect() as connection:
        return connection.scalar(statement) or 0


def check_features(lab: Lab, niche: str) -> list[CheckResult]:
    """Check that at least 99 % of the pictures have sub-scores, and that all sub-scores are between 0 and 1.

    The crawl's videos without sub-scores are not counted, because runs in the background measure them.
    """
    columns = [visual_features.c[name] for name in NAMES]
    outside = or_(*(not_(column.between(0, 1)) for column in columns))
    statement = (
        select(
            func.count(thumbnails.c.sha256).label("pictures"),
            func.count(visual_features.c.video_id).label("measured"),
            func.count().filter(outside).label("outside"),
        )
        .select_from(videos)
        .join(thumbnails, thumbnails.c.video_id == videos.c.video_id)
        .outerjoin(visual_features, _current(meter_version(lab)))
        .where(
            videos.c.niche == niche,
            or_(visual_features.c.video_id.is_not(None), videos.c.video_id.not_in(kept_by_crawl(niche))),
        )
    )
    with lab.engine.connect() as connection:
        row = connection.execute(statement).one()
    return [
        CheckResult(
            "complete",
            row.measured >= 0.99 * row.pictures,
            f"{row.measured} of {row.pictures} thumbnails",
            figures={"thumbnails": row.pictures, "measured": row.measured},
        ),
        CheckResult(
            "in_range",
            row.outside == 0,
            f"{row.outside} thumbnails have a sub-score outside 0 to 1",
            figures={"outside": row.outside},
        ),
    ]
