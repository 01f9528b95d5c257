"""Read and delete kept predictions."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, delete, func, select

from thumblab_core.database.tables import prediction_candidates, prediction_outcomes, predictions
from thumblab_core.given_text import channel_name
from thumblab_core.predictions import KeptCandidate, KeptPrediction
from thumblab_pipelines.experiments.add import find_channel_id
from thumblab_pipelines.lab import Lab

_OF_A_CANDIDATE = ("position", "sha256", "phash", "score", "win_probability", "rank")
_OF_A_PREDICTION = tuple(column.name for column in predictions.columns)


def read_predictions(
    connection: Connection, channel_id: str | None = None, most: int | None = None
) -> list[KeptPrediction]:
    """Return the predictions of a channel, or all predictions, newest first.

    `most`: maximum number of predictions. If `most` is None, all predictions are returned.
    """
    chosen = select(predictions).where(*_of_channel(channel_id))
    newest = chosen.order_by(predictions.c.scored_at.desc(), predictions.c.prediction_id).limit(most).subquery()
    statement = (
        select(newest, *(prediction_candidates.c[name] for name in _OF_A_CANDIDATE))
        .join(prediction_candidates, prediction_candidates.c.prediction_id == newest.c.prediction_id)
        .order_by(newest.c.scored_at.desc(), newest.c.prediction_id, prediction_candidates.c.position)
    )
    read = []
    for _, group in groupby(connection.execute(statement), key=lambda row: row.prediction_id):
        rows = list(group)
        candidates = tuple(KeptCandidate(*(getattr(row, name) for name in _OF_A_CANDIDATE)) for row in rows)
        facts = {name: getattr(rows[0], name) for name in _OF_A_PREDICTION}
        read.append(KeptPrediction(**facts, candidates=candidates))
    return read


def count_predictions(connection: Connection, channel_id: str | None = None) -> int:
    """Return the number of predictions of a channel, or of all predictions."""
    statement = select(func.count()).select_from(predictions).where(*_of_channel(channel_id))
    return int(connection.execute(statement).scalar_one())


def read_outcomes(connection: Connection, prediction_ids: Sequence[UUID]) -> dict[UUID, list[dict[str, Any]]]:
    """Return the stored outcomes of predictions, by the id of the prediction. An outcome maps column names to values."""
    shown = [column for column in prediction_outcomes.columns if column.name not in ("outcome_id", "prediction_id")]
    statement = (
        select(prediction_outcomes.c.prediction_id, *shown)
        .where(prediction_outcomes.c.prediction_id.in_(prediction_ids))
        .order_by(prediction_outcomes.c.outcome_id)
    )
    found: dict[UUID, list[dict[str, Any]]] = {}
    for row in connection.execute(statement):
        found.setdefault(row.prediction_id, []).append({column.name: getattr(row, column.name) for column in shown})
    return found


def channel_of_predictions(lab: Lab, name: str) -> str:
    """Return the id of a channel. `name` is the channel's id, exact title, @handle or link.

    If `name` is the channel id of a kept prediction, this id is returned even if the lab does not know the channel.
    Raises `LabError` if no channel is found.
    """
    name = channel_name(name)
    with lab.engine.connect() as connection:
        known = count_predictions(connection, name) if "\0" not in name else 0
    return name if known else find_channel_id(lab, name)


def purge_predictions(lab: Lab, channel_id: str | None = None, before: datetime | None = None) -> int:
    """Delete the predictions of a channel, or of all channels, with their outcomes. Return the number of deleted
    predictions.

    With `before`, only predictions that were made before this moment are deleted.
    """
    older = [] if before is None else [predictions.c.scored_at < before]
    with lab.engine.begin() as connection:
        return connection.execute(delete(predictions).where(*_of_channel(channel_id), *older)).rowcount


def delete_old_predictions(lab: Lab, now: datetime | None = None) -> int:
    """Delete the predictions that are older than the setting `prediction_days`. Return the number of deleted
    predictions.

    By default, `now` is the time of this machine, and not of the database server. The service also dates its
    predictions by the clock of its machine.
    """
    kept_since = (now or datetime.now(UTC)) - timedelta(days=lab.settings.prediction_days)
    return purge_predictions(lab, before=kept_since)


def _of_channel(channel_id: str | None) -> list[ColumnElement[bool]]:
    return [] if channel_id is None else [predictions.c.channel_id == channel_id]
