"""Make experiments for tests, and insert channels and videos into a lab."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import insert
from sqlalchemy.dialects import postgresql

from demo.catalogues.experiments import PlantedExperiment
from thumblab_core.database.tables import channels, videos
from thumblab_core.experiments.records import Experiment, GivenExperiment, GivenVariant, StoredExperiment, Variant
from thumblab_core.experiments.store import read_experiments, remove_experiment
from thumblab_pipelines.lab import Lab

CHANNEL = "UC" + "a" * 22
VIDEO = "video_aaaaa"
START = date(2026, 11, 1)


def given(variants: Sequence[Any], **values: Any) -> GivenExperiment[Path]:
    """Return an experiment as a person would add it to the lab.

    Each of `variants` is the path of a picture, a title, or a dictionary with the values of a `GivenVariant`.
    """
    made = []
    for variant in variants:
        if not isinstance(variant, dict):
            variant = {"picture" if isinstance(variant, Path) else "title": variant}
        made.append(GivenVariant(**variant))
    facts = {"channel": CHANNEL, "video_id": VIDEO, "started_on": START, "outcome": "inconclusive"}
    return GivenExperiment(variants=made, **(facts | values))


def given_planted(planted: PlantedExperiment, channel: str, day: date, folder: Path) -> GivenExperiment[Path]:
    """Return an experiment of the demo's data as a person would add it to the lab.

    The experiment starts on `day`.

    The function creates `folder`, which must not exist yet, and writes the pictures of the variants to it.
    """
    folder.mkdir()
    variants = []
    for number, variant in enumerate(planted.variants):
        path = folder / f"{number}.jpg"
        path.write_bytes(variant.thumbnail.image)
        variants.append(GivenVariant(path, variant.thumbnail.title, variant.watch_time_share, variant.impressions))
    winner = None if planted.winner is None else planted.winner + 1
    return GivenExperiment(channel, planted.video_id, day, planted.outcome, variants, winner=winner)


def stored(experiment_id: int, winner: int | None = None, variants: int = 2, **values: Any) -> StoredExperiment:
    """Return an experiment as the lab stores it.

    The variants of the experiment have titles and no pictures.
    """
    made = tuple(Variant(None, f"title {at}") for at in range(1, variants + 1))
    outcome = "inconclusive" if winner is None else "winner"
    facts = {"channel_id": CHANNEL, "video_id": VIDEO, "started_on": START, "ended_on": None, "outcome": outcome}
    experiment = Experiment(**({**facts, "winner": winner, "variants": made} | values))
    return StoredExperiment(experiment_id, None, datetime(2026, 11, 20, tzinfo=UTC), experiment)


def put_channel(lab: Lab, channel_id: str, title: str, *video_ids: str) -> None:
    """Insert a channel, and a video of this channel for each of `video_ids`."""
    now = datetime(2026, 11, 20, tzinfo=UTC)
    facts = {"niche": "tech", "channel_id": channel_id, "title": "t", "tags": [], "source": "youtube"}
    with lab.engine.begin() as connection:
        row = {"channel_id": channel_id, "title": title}
        connection.execute(postgresql.insert(channels).values(**row).on_conflict_do_nothing())
        for video_id in video_ids:
            row = {"video_id": video_id, "published_at": now, "refreshed_at": now, **facts}
            connection.execute(insert(videos).values(**row))


def kept(lab: Lab, channel_id: str | None = None) -> list[StoredExperiment]:
    """Return the experiments that a lab has stored, the newest first."""
    with lab.engine.connect() as connection:
        return read_experiments(connection, channel_id)


def remove(lab: Lab, experiment_id: int) -> bool:
    """Delete an experiment of a lab. Return whether the lab had an experiment with this number."""
    with lab.engine.begin() as connection:
        return remove_experiment(connection, experiment_id)
