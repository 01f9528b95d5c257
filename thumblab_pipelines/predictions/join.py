"""Fill the table `prediction_outcomes` with the outcomes of the candidates of kept predictions."""

from collections import defaultdict
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import delete, insert, text

from thumblab_core.database.lock_numbers import OUTCOMES
from thumblab_core.database.tables import prediction_outcomes
from thumblab_core.experiments.store import read_experiments
from thumblab_core.predictions import KeptPrediction
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.predictions.experiment_outcomes import VariantPictures, experiment_outcomes
from thumblab_pipelines.predictions.store import read_predictions
from thumblab_pipelines.predictions.video_outcomes import AGE_HOURS, video_outcomes
from thumblab_pipelines.videos.deletion import lock_videos


@dataclass(frozen=True)
class Joined:
    """The numbers of predictions that `join_outcomes` found.

    `predictions`: all kept predictions. `with_channel`: predictions that name a channel; only these can be joined.
    `with_experiment`: predictions that were joined with an experiment. `with_video`: predictions that were joined with
    a video. `with_views`: predictions that were joined with a video whose views above the trend are known.
    """

    predictions: int
    with_channel: int
    with_experiment: int
    with_video: int
    with_views: int


def join_outcomes(lab: Lab) -> Joined:
    """Join every kept prediction with experiments and videos again, and replace all stored outcomes in one transaction.

    Since the last run, experiments may have been corrected, and more view counts may have become known.
    """
    with lab.engine.begin() as connection:
        # Without the lock, two runs at the same time could store the same outcomes, and one of the runs would fail. The
        # table itself is not locked. A deletion of videos also deletes outcomes, and the two transactions could then
        # wait for each other for ever.
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": OUTCOMES})
        kept = read_predictions(connection)
        by_channel: dict[str, list[KeptPrediction]] = defaultdict(list)
        for prediction in kept:
            if prediction.channel_id is not None:
                by_channel[prediction.channel_id].append(prediction)
        tested = experiment_outcomes(by_channel, read_experiments(connection), VariantPictures(lab.images))
        published = video_outcomes(connection, by_channel)
        # A video may have been deleted since it was read.
        present = lock_videos(connection, {outcome.video_id for outcome in published})
        published = [outcome for outcome in published if outcome.video_id in present]
        rows: list[dict[str, Any]] = [
            asdict(outcome) | {"video_id": None, "excess": None, "age_hours": None} for outcome in tested
        ]
        rows += [
            asdict(outcome)
            | {"experiment_id": None, "variant": None, "result": "published"}
            | {"age_hours": None if outcome.excess is None else AGE_HOURS}
            for outcome in published
        ]
        connection.execute(delete(prediction_outcomes))
        if rows:
            joined_at = datetime.now(UTC)
            connection.execute(insert(prediction_outcomes), [row | {"joined_at": joined_at} for row in rows])
    return Joined(
        len(kept),
        sum(map(len, by_channel.values())),
        len({outcome.prediction_id for outcome in tested}),
        len({outcome.prediction_id for outcome in published}),
        len({outcome.prediction_id for outcome in published if outcome.excess is not None}),
    )
