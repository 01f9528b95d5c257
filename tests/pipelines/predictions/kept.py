"""Helpers that store predictions, experiments and published videos in a lab's database.

These helpers use no picture files. A picture is only a name, such as "a", from which its digest and its perceptual hash
are made.
"""

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.dialects import postgresql

from thumblab_core.database.predictions import insert_predictions
from thumblab_core.database.tables import (
    channels,
    prediction_outcomes,
    thumbnail_versions,
    videos,
    views_at_age,
)
from thumblab_core.experiments.records import Experiment, Variant
from thumblab_core.experiments.store import save
from thumblab_core.images import digest
from thumblab_core.predictions import KeptCandidate, KeptPrediction
from thumblab_pipelines.lab import Lab

CHANNEL = "UC" + "a" * 22
SCORED = datetime(2026, 11, 1, 12, tzinfo=UTC)
HASH = {"a": 0, "b": 0x00FF, "c": 0xFF00, "near a": 0b111111, "far from a": 0b11111111}
"""The perceptual hashes of some pictures.

Two pictures count as the same if their hashes differ in at most 6 bits (`NEAR`). The hash of "near a" differs from
the hash of "a" in 6 bits. All other hashes differ from the hash of "a" in 8 bits.
"""


def sha(name: str) -> str:
    """Return the SHA-256 that stands for the file of the picture `name`. The result is the digest of the name."""
    return digest(name.encode())


def hash_of(name: str) -> int:
    """Return the perceptual hash of the picture `name`.

    For a name that is not in `HASH`, the hash is the start of the name's digest. A hash from a digest differs from all
    other hashes in many bits.
    """
    return HASH[name] if name in HASH else int.from_bytes(bytes.fromhex(sha(name)[:16]), "big", signed=True)


def predict(
    lab: Lab,
    *pictures: str,
    chances: Sequence[float | None] = (0.6, 0.3, 0.1),
    hashes: Mapping[str, int] = MappingProxyType({}),
    **facts: Any,
) -> KeptPrediction:
    """Store a prediction whose candidates are `pictures`, and return the prediction.

    `chances` are the win probabilities of the pictures. The score of a picture is a hundred times this probability.
    `hashes` replaces the perceptual hashes of some pictures, by name. `facts` replaces fields of the prediction.
    """
    candidates = tuple(
        KeptCandidate(
            at, sha(name), hashes.get(name, hash_of(name)), None if chance is None else 100 * chance, chance, at
        )
        for at, (name, chance) in enumerate(zip(pictures, chances, strict=False), 1)
    )
    values: dict[str, Any] = {
        "prediction_id": uuid.uuid4(),
        "scored_at": SCORED,
        "model_release": "r1",
        "channel_id": CHANNEL,
        "niche": "tech",
        "title": "A title",
        "verdict": "leaning",
        "confidence": 0.6,
        "ordered_by": "model",
        "knowledge": "new_channels",
    }
    prediction = KeptPrediction(**(values | facts), candidates=candidates)
    with lab.engine.begin() as connection:
        insert_predictions(connection, [prediction])
    return prediction


def experiment(lab: Lab, *pictures: str, winner: int | None = None, **facts: Any) -> int:
    """Store an experiment whose variants show `pictures`, and return the number that the lab gives to the experiment.

    `winner` is the position of the winner, from 1. If `winner` is None, the experiment is inconclusive. `facts`
    replaces fields of the experiment. The titles of the variants are given as `titles`.
    """
    titles = facts.pop("titles", [None] * len(pictures))
    variants = tuple(Variant(sha(name), title) for name, title in zip(pictures, titles, strict=True))
    values: dict[str, Any] = {
        "channel_id": CHANNEL,
        "video_id": f"video_{uuid.uuid4().hex[:5]}",
        "started_on": date(2026, 11, 2),
        "ended_on": None,
        "outcome": "inconclusive" if winner is None else "winner",
        "winner": winner,
    }
    with lab.engine.begin() as connection:
        return save(connection, Experiment(**(values | facts), variants=variants))[0]


def publish(lab: Lab, video_id: str, picture: str, views: float | None = None, days: float = 1.0, **facts: Any) -> None:
    """Store a video that shows `picture` and was published `days` days after `SCORED`.

    `views` are its views at the age of a week. If `views` is None, the lab has no count of these views. `facts`
    replaces fields of the video.
    """
    at = SCORED + timedelta(days=days)
    row: dict[str, Any] = {
        "video_id": video_id,
        "niche": "tech",
        "channel_id": CHANNEL,
        "title": "t",
        "tags": [],
        "source": "youtube",
        "published_at": at,
        "refreshed_at": at,
    }
    row |= facts
    with lab.engine.begin() as connection:
        channel = {"channel_id": row["channel_id"], "title": "Alpha"}
        connection.execute(postgresql.insert(channels).values(**channel).on_conflict_do_nothing())
        connection.execute(insert(videos).values(**row))
        if views is not None:
            at_a_week = {"video_id": video_id, "age_hours": 168, "views": views, "era": "playback_start"}
            connection.execute(insert(views_at_age).values(**at_a_week, before_hours=160, after_hours=170))
    show(lab, video_id, picture, at)


def show(lab: Lab, video_id: str, picture: str, first: datetime, last: datetime | None = None) -> None:
    """Store a sighting: the video showed `picture` from `first` to `last`. By default, `last` is `first`."""
    version = {"video_id": video_id, "first_seen": first, "last_seen": last or first, "title": "t"}
    with lab.engine.begin() as connection:
        connection.execute(insert(thumbnail_versions).values(**version, sha256=sha(picture), phash=hash_of(picture)))


def outcomes(lab: Lab, *columns: str) -> list[tuple[Any, ...]]:
    """Return `columns` of all stored outcomes, as one tuple per outcome.

    The outcomes are sorted by the id of their prediction, then by the number of their experiment, then by position.
    """
    order = (prediction_outcomes.c.prediction_id, prediction_outcomes.c.experiment_id, prediction_outcomes.c.position)
    statement = select(*(prediction_outcomes.c[name] for name in columns)).order_by(*order)
    with lab.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(statement)]
