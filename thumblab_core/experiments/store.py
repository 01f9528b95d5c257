"""Store, read and delete experiments. An experiment is identified by its channel, its video and its first day."""

from datetime import UTC, datetime
from itertools import groupby

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, text, tuple_, update
from sqlalchemy.exc import IntegrityError

from thumblab_core.database.tables import channels, experiment_variants, experiments, videos
from thumblab_core.database.troubles import first_line
from thumblab_core.errors import LabError
from thumblab_core.experiments.records import Experiment, Place, StoredExperiment, Variant
from thumblab_core.experiments.rules import RuleError
from thumblab_core.given_text import VIDEO_ID

NEW, CHANGED, UNCHANGED = "new", "changed", "unchanged"
"""The three possible results of storing an experiment."""

_FACTS = ("channel_id", "video_id", "started_on", "ended_on", "outcome", "winner")
_OF_A_VARIANT = ("sha256", "title", "watch_time_share", "impressions")
_SHOWN = 40
"""The largest number of characters of a value that an error message shows."""


def require_video(connection: Connection, video_id: str, channel_id: str) -> None:
    """Check the video of an experiment. Raise `RuleError` in these two cases:

    1. The video is in the lab, and belongs to another channel than `channel_id`.
    2. The video is not in the lab, and `video_id` does not have the form of YouTube's video ids.
    """
    known = connection.scalar(select(videos.c.channel_id).where(videos.c.video_id == video_id))
    if known is None and not VIDEO_ID.fullmatch(video_id):
        raise RuleError(
            "video_id",
            f"video {video_id[:_SHOWN]!r} is not in the lab, and is not the id of a YouTube video; "
            "give the 11 characters after watch?v=",
        )
    if known not in (None, channel_id):
        raise RuleError(
            "video_id",
            f"video {video_id[:_SHOWN]!r} belongs to the channel {known}, not to {channel_id}; "
            "check the video and the channel",
        )


def save(connection: Connection, experiment: Experiment) -> tuple[int, str]:
    """Store an experiment. A stored experiment with the same channel, video and first day is replaced.

    Returns the number of the experiment, and `NEW`, `CHANGED` or `UNCHANGED`. Raises `LabError` if the database refuses
    the experiment. After this error, the transaction can only be rolled back.
    """
    # Without the lock, two imports at the same time could both find that the experiment is not stored yet. Both would
    # then insert the experiment, and the second insert would fail.
    connection.execute(text("LOCK TABLE experiments IN SHARE ROW EXCLUSIVE MODE"))
    same = (
        (experiments.c.channel_id == experiment.channel_id)
        & (experiments.c.video_id == experiment.video_id)
        & (experiments.c.started_on == experiment.started_on)
    )
    experiment_id = connection.scalar(select(experiments.c.experiment_id).where(same))
    if experiment_id is not None and read_experiment(connection, experiment_id).experiment == experiment:
        return experiment_id, UNCHANGED
    try:
        saved = _write(connection, experiment_id, experiment)
        # The trigger that checks an experiment together with its variants usually runs at the end of the transaction.
        # Here, the trigger runs immediately, so that its error is raised here.
        connection.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
    except IntegrityError as error:
        raise LabError(
            f"the database refuses the experiment ({first_line(error.orig or error)}); check the facts of the "
            "experiment"
        ) from None
    return saved, NEW if experiment_id is None else CHANGED


def read_experiments(
    connection: Connection,
    channel_id: str | None = None,
    after: Place | None = None,
    limit: int | None = None,
    owner: str | None = None,
) -> list[StoredExperiment]:
    """Return the experiments of a channel, or of all channels. The experiments are sorted by their first day, the
    newest first.

    If `owner` is given, the experiments of channels that belong to another API key are left out.

    If `after` is given, only the experiments that come after this place in the list are returned. At most `limit`
    experiments are returned.
    """
    where = _of_channel(channel_id)
    if owner is not None:
        of_others = select(channels.c.channel_id).where(channels.c.owner.is_not(None), channels.c.owner != owner)
        where.append(experiments.c.channel_id.not_in(of_others))
    if after is not None:
        place = tuple_(experiments.c.started_on, experiments.c.experiment_id)
        where.append(place < tuple_(after.started_on, after.experiment_id))
    if limit is not None:
        numbers = select(experiments.c.experiment_id).where(*where)
        newest_first = (experiments.c.started_on.desc(), experiments.c.experiment_id.desc())
        where = [experiments.c.experiment_id.in_(numbers.order_by(*newest_first).limit(limit))]
    return _read(connection, *where)


def read_experiment(connection: Connection, experiment_id: int) -> StoredExperiment:
    """Return the experiment with this number. There must be such an experiment."""
    (stored,) = _read(connection, experiments.c.experiment_id == experiment_id)
    return stored


def count_experiments(connection: Connection, channel_id: str | None = None) -> int:
    """Return the number of experiments of a channel, or of all channels."""
    statement = select(func.count()).select_from(experiments).where(*_of_channel(channel_id))
    return int(connection.scalar(statement) or 0)


def remove_experiment(connection: Connection, experiment_id: int) -> bool:
    """Delete an experiment. Return whether there was an experiment with this number.

    The next run of the asset `lab_retention` deletes the pictures of the experiment, unless a video or another experiment
    uses them.
    """
    statement = delete(experiments).where(experiments.c.experiment_id == experiment_id)
    return bool(connection.execute(statement).rowcount)


def _of_channel(channel_id: str | None) -> list[ColumnElement[bool]]:
    return [] if channel_id is None else [experiments.c.channel_id == channel_id]


def _write(connection: Connection, experiment_id: int | None, experiment: Experiment) -> int:
    """Insert an experiment, or replace the experiment with the number `experiment_id`. Return the number of the stored
    experiment.
    """
    row = {name: getattr(experiment, name) for name in _FACTS} | {"changed_at": datetime.now(UTC)}
    if experiment_id is None:
        statement = insert(experiments).values(**row).returning(experiments.c.experiment_id)
        experiment_id = connection.execute(statement).scalar_one()
    else:
        connection.execute(update(experiments).where(experiments.c.experiment_id == experiment_id).values(**row))
        of_this = experiment_variants.c.experiment_id == experiment_id
        connection.execute(delete(experiment_variants).where(of_this))
    variants = [
        {"experiment_id": experiment_id, "position": position}
        | {name: getattr(variant, name) for name in _OF_A_VARIANT}
        for position, variant in enumerate(experiment.variants, 1)
    ]
    connection.execute(insert(experiment_variants), variants)
    return experiment_id


def _read(connection: Connection, *where: ColumnElement[bool]) -> list[StoredExperiment]:
    statement = (
        select(experiments, channels.c.title.label("channel_title"), experiment_variants)
        .join(experiment_variants, experiment_variants.c.experiment_id == experiments.c.experiment_id)
        .outerjoin(channels, channels.c.channel_id == experiments.c.channel_id)
        .where(*where)
        .order_by(experiments.c.started_on.desc(), experiments.c.experiment_id.desc(), experiment_variants.c.position)
    )
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
