"""A lab with two libraries from which maps can be made. All pictures are stored and have planted sub-scores."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine, insert, text
from stored_library import clustered, fill

from thumblab_core.database.tables import visual_features
from thumblab_core.encoders.builtin import BuiltinEncoder
from thumblab_pipelines.features.sub_scores import meter_version
from thumblab_pipelines.lab import Lab

VIDEOS = 240
NICHES = ("tech", "beauty")


def plant_libraries(lab: Lab, drawn: Callable[..., bytes], seed: int = 0) -> None:
    """Store `VIDEOS` videos of two niches, with their pictures and sub-scores.

    Each video has its own picture. The vectors of the pictures form clusters with random centres.
    """
    encoder = BuiltinEncoder()
    fill(lab.engine, clustered(VIDEOS, encoder.dimension, seed), encoder.fingerprint, NICHES)
    pictures = {f"v{number:06d}": lab.images.put(drawn(number, (160, 90))) for number in range(VIDEOS)}
    with lab.engine.begin() as connection:
        for video_id, sha256 in pictures.items():
            known = {"video_id": video_id, "sha256": sha256}
            connection.execute(text("UPDATE thumbnails SET sha256 = :sha256 WHERE video_id = :video_id"), known)
            connection.execute(text("UPDATE embeddings SET source_digest = :sha256 WHERE video_id = :video_id"), known)
        connection.execute(insert(visual_features), [_measured(lab, *one) for one in pictures.items()])


def library(engine: Engine, niche: str) -> set[str]:
    """Return the ids of the videos of a niche's library.

    The library lacks the last four of the stored videos, because they were observed too long ago.
    """
    numbers = range(NICHES.index(niche), VIDEOS - 4, len(NICHES))
    return {f"v{number:06d}" for number in numbers}


def _measured(lab: Lab, video_id: str, sha256: str) -> dict[str, Any]:
    return {"video_id": video_id, "sha256": sha256, "version": meter_version(lab), "clarity": 0.5}
