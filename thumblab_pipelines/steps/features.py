"""Measure the six sub-scores of the thumbnails that have none of the current formulas yet."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, func, not_, or_, select
from sqlalchemy.dialects.postgresql import insert

from thumblab_core.database.tables import thumbnails, videos, visual_features
from thumblab_core.encoders.load import image_encoder
from thumblab_core.encoders.protocol import CrossModalEncoder, ImageEncoder
from thumblab_core.images import ImageError, decode
from thumblab_core.sub_scores import NAMES, VERSION, measure
from thumblab_pipelines.steps.lab import Lab
from thumblab_pipelines.steps.progress import Progress, batches, silent
from thumblab_pipelines.steps.verdict import Verdict

_BATCH = 64


@dataclass(frozen=True)
class Measured:
    """How many thumbnails had their sub-scores already, how many were measured, and which could not be read."""

    had: int
    measured: int
    unreadable: tuple[str, ...]


def measure_features(lab: Lab, niche: str, progress: Progress = silent) -> Measured:
    """Write `visual_features` of the niche. Commits every batch; measures nothing twice."""
    encoder = image_encoder(lab.settings.image_encoder)
    version = _version(encoder)
    had = _measured(version)
    statement = (
        select(videos.c.video_id, videos.c.title, thumbnails.c.sha256, visual_features.c.video_id.label("had"))
        .join(thumbnails, thumbnails.c.video_id == videos.c.video_id)
        .outerjoin(visual_features, had)
        .where(videos.c.niche == niche, thumbnails.c.sha256.is_not(None))
        .order_by(videos.c.video_id)
    )
    with lab.engine.connect() as connection:
        rows = connection.execute(statement).all()
    missing = [row for row in rows if row.had is None]
    unreadable = []
    for batch in batches(missing, _BATCH, f"{niche}: measuring", progress):
        values = []
        for row in batch:
            try:
                pixels = decode(lab.images.get(row.sha256)).pixels
            except ImageError as error:
                unreadable.append(f"{row.video_id}: {error}")
                continue
            if isinstance(encoder, CrossModalEncoder):
                found = measure(pixels, encoder.encode_images([pixels])[0], encoder.encode_texts([row.title])[0])
            else:
                found = measure(pixels)
            scores = {name: found[name].value for name in NAMES}
            values.append({"video_id": row.video_id, "sha256": row.sha256, "version": version, **scores})
        if values:
            statement_in = insert(visual_features).values(values)
            with lab.engine.begin() as connection:
                connection.execute(
                    statement_in.on_conflict_do_update(
                        index_elements=["video_id"],
                        set_={name: statement_in.excluded[name] for name in ("sha256", "version", *NAMES)},
                    )
                )
    return Measured(len(rows) - len(missing), len(missing) - len(unreadable), tuple(unreadable))


def _version(encoder: ImageEncoder) -> str:
    """Of the formulas; title_match is measured in the encoder's own space, so another encoder means measuring again."""
    return f"{VERSION}/{encoder.fingerprint}" if isinstance(encoder, CrossModalEncoder) else VERSION


def _measured(version: str) -> ColumnElement[bool]:
    """The sub-scores of the thumbnail that is there now, by the formulas of now."""
    return and_(
        visual_features.c.video_id == thumbnails.c.video_id,
        visual_features.c.sha256 == thumbnails.c.sha256,
        visual_features.c.version == version,
    )


def judge_features(lab: Lab, niche: str) -> list[Verdict]:
    """Has every picture its sub-scores, and are they between 0 and 1?"""
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
        .outerjoin(visual_features, _measured(_version(image_encoder(lab.settings.image_encoder))))
        .where(videos.c.niche == niche)
    )
    with lab.engine.connect() as connection:
        row = connection.execute(statement).one()
    return [
        Verdict("complete", row.measured >= 0.99 * row.pictures, f"{row.measured} of {row.pictures} thumbnails"),
        Verdict("in_range", row.outside == 0, f"{row.outside} thumbnails with a sub-score outside 0 to 1"),
    ]
