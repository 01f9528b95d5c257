"""Store, read and delete experiments. An experiment is identified by its channel, its video and its first day."""

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby

from sqlalchemy import ColumnElement, Connection, delete, insert, select, text, update

from thumblab_core.database.tables import channels, experiment_variants, experiments
from thumblab_pipelines.experiments.records import Experiment, Variant
from thumblab_pipelines.lab import Lab

NEW, CHANGED, UNCHANGED = "new", "changed", "unchanged"
"""The three possible results of storing an experiment."""

_FACTS = ("channel_id", "video_id", "started_on", "ended_on", "outcome", "winner")
_OF_A_VARIANT = ("sha256", "title", "watch_time_share", "impressions")


@dataclass(frozen=True)
class StoredExperiment:
    """An experiment with its number in the lab. `channel_title` is None if the lab has not collected the channel."""

    experiment_id: int
    channel_title: str | None
    changed_at: datetime
    experiment: Experiment


def save(connection: Connection, experiment: Experiment) -> tuple[int, str]:
    """Store an experiment. A stored experiment with the same channel, video and first day is replaced.

    Returns its number, and `NEW`, `CHANGED` or `UNCHANGED`.
    """
    # Without the lock, two imports at the same time could both find the experiment new, and one of them would fail.
    connection.execute(text("LOCK TABLE experiments IN SHARE ROW EXCLUSIVE MODE"))
    same = (
        (experiments.c.channel_id == experiment.channel_id)
        & (experiments.c.video_id == experiment.video_id)
        & (experiments.c.started_on == experiment.started_on)
    )
    experiment_id = connection.scalar(select(experiments.c.experiment_id).where(same))
    row = {name: getattr(experiment, name) for name in _FACTS} | {"changed_at": datetime.now(UTC)}
    if experiment_id is None:
        state = NEW
        statement = insert(experiments).values(**row).returning(experiments.c.experiment_id)
        experiment_id = connection.execute(statement).scalar_one()
    else:
        if _read(connection, experiments.c.experiment_id == experiment_id)[0].experiment == experiment:
            return experiment_id, UNCHANGED
        state = CHANGED
        connection.execute(update(experiments).where(experiments.c.experiment_id == experiment_id).values(**row))
        of_this = experiment_variants.c.experiment_id == experiment_id
        connection.execute(delete(experiment_variants).where(of_this))
    variants = [
        {"experiment_id": experiment_id, "position": position}
        | {name: getattr(variant, name) for name in _OF_A_VARIANT}
        for position, variant in enumerate(experiment.variants, 1)
    ]
    connection.execute(insert(experiment_variants), variants)
    return experiment_id, state


def read_experiments(lab: Lab, channel_id: str | None = None) -> list[StoredExperiment]:
    """Return the experiments of a channel, or of all channels. The test that started last comes first."""
    with lab.engine.connect() as connection:
        return _read(connection, None if channel_id is None else experiments.c.channel_id == channel_id)


def remove_experiment(lab: Lab, experiment_id: int) -> bool:
    """Delete an experiment. Return whether there was an experiment with this number.

    The next run of `retention` deletes the pictures of the experiment, unless a video or another experiment uses them.
    """
    with lab.engine.begin() as connection:
        statement = delete(experiments).where(experiments.c.experiment_id == experiment_id)
        return bool(connection.execute(statement).rowcount)


def _read(connection: Connection, where: ColumnElement[bool] | None = None) -> list[StoredExperiment]:
    statement = (
        select(experiments, channels.c.title.label("channel_title"), experiment_variants)
        .join(experiment_variants, experiment_variants.c.experiment_id == experiments.c.experiment_id)
        .outerjoin(channels, channels.c.channel_id == experiments.c.channel_id)
        .order_by(experiments.c.started_on.desc(), experiments.c.experiment_id.desc(), experiment_variants.c.position)
    )
    if where is not None:
        statement = statement.where(where)
    read = []
    for experiment_id, group in groupby(connection.execute(statement), key=lambda row: row.experiment_id):
        rows = list(group)
        variants = tuple(Variant(*(getattr(row, name) for name in _OF_A_VARIANT)) for row in rows)
        facts = {name: getattr(rows[0], name) for name in _FACTS}
        read.append(
            StoredExperiment(
                experiment_id, rows[0].channel_title, rows[0].changed_at, Experiment(**facts, variants=variants)
            )
        )
    return read
