"""Store predictions of the scoring service in the database."""

from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from thumblab_core.database.tables import prediction_candidates, predictions
from thumblab_core.predictions import KeptPrediction


def insert_predictions(connection: Connection, kept: Sequence[KeptPrediction]) -> None:
    """Insert predictions. If the id of a prediction is stored already, the stored prediction stays unchanged.

    So the caller may insert the same predictions again after an error.
    """
    rows, candidates = [], []
    for prediction in kept:
        row = asdict(prediction)
        candidates += [{"prediction_id": prediction.prediction_id, **candidate} for candidate in row.pop("candidates")]
        rows.append(row)
    if rows:
        connection.execute(insert(predictions).on_conflict_do_nothing(), rows)
    if candidates:
        connection.execute(insert(prediction_candidates).on_conflict_do_nothing(), candidates)
