"""Test how long kept predictions are stored.

A prediction is deleted when it is older than the number of days in the setting `prediction_days`. If a channel is
deleted earlier, its predictions stay. Outcomes about a video of this channel are deleted.
"""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete, insert, select

from thumblab_core.database.predictions import insert_predictions
from thumblab_core.database.tables import channels, prediction_candidates, prediction_outcomes, predictions, videos
from thumblab_core.predictions import KeptCandidate, KeptPrediction
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.retention.lab_clean_up import clean_lab
from thumblab_pipelines.videos.records import ChannelRecord, save_channels

NOW = datetime.now(UTC)
CHANNEL = "UC" + "a" * 22


def prediction(number: int, age: timedelta) -> KeptPrediction:
    candidate = KeptCandidate(1, "a" * 64, 1, 80.0, None, 1)
    facts = ("r1", CHANNEL, "tech", "A title", "only_one", None, "model", "future", (candidate,))
    return KeptPrediction(uuid.UUID(int=number), NOW - age, *facts)


def kept(lab: Lab) -> list[int]:
    with lab.engine.connect() as connection:
        ids = connection.scalars(select(predictions.c.prediction_id).order_by(predictions.c.prediction_id)).all()
        of_candidates = connection.scalars(select(prediction_candidates.c.prediction_id)).all()
    assert sorted(ids) == sorted(of_candidates)
    return [one.int for one in ids]


@pytest.mark.parametrize(("days", "left"), [(365, [1, 2]), (30, [1])])
def test_retention_deletes_predictions_that_are_older_than_their_days(
    open_lab: Callable[..., Lab], days: int, left: list[int]
) -> None:
    lab = open_lab(prediction_days=days)
    with lab.engine.begin() as connection:
        insert_predictions(
            connection,
            [prediction(1, timedelta(days=29)), prediction(2, timedelta(days=31)), prediction(3, timedelta(days=366))],
        )
    assert clean_lab(lab).predictions == 3 - len(left)
    assert kept(lab) == left
    assert clean_lab(lab).predictions == 0


def test_a_prediction_stays_when_its_channel_is_deleted_and_the_outcome_of_a_video_does_not(
    open_lab: Callable[..., Lab],
) -> None:
    lab = open_lab()
    with lab.engine.begin() as connection:
        save_channels(connection, [ChannelRecord(CHANNEL, "Alpha")])
        facts = {"niche": "tech", "title": "t", "tags": [], "source": "youtube"}
        times = {"published_at": NOW, "refreshed_at": NOW}
        connection.execute(insert(videos).values(video_id="video", channel_id=CHANNEL, **facts, **times))
        insert_predictions(connection, [prediction(1, timedelta(days=1))])
        outcome = {"prediction_id": uuid.UUID(int=1), "position": 1, "video_id": "video", "result": "published"}
        connection.execute(insert(prediction_outcomes).values(**outcome, excess=1.0, age_hours=168, joined_at=NOW))
        connection.execute(delete(channels))
        assert connection.scalars(select(prediction_outcomes.c.video_id)).all() == []
    assert kept(lab) == [1]
