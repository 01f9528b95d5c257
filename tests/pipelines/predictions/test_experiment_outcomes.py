"""Tests of how kept predictions are joined with experiments.

A prediction is joined with an experiment that tested at least two of its candidates. The outcome of each tested
candidate is stored with the prediction.
"""

from datetime import timedelta
from typing import Any

import pytest
from kept import CHANNEL, SCORED, experiment, outcomes, predict
from sqlalchemy import delete

from thumblab_core.database.tables import experiments, predictions
from thumblab_core.experiments.records import Experiment, Variant
from thumblab_core.experiments.store import save
from thumblab_core.images import decode, digest
from thumblab_core.images.perceptual import perceptual_hash
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.predictions.join import Joined, join_outcomes

RESULTS = ("position", "variant", "result")


def test_the_winner_of_an_experiment_has_won_against_the_other_tested_candidates(lab: Lab) -> None:
    prediction = predict(lab, "a", "b", "c")
    number = experiment(lab, "c", "a", winner=1)
    assert join_outcomes(lab) == Joined(1, 1, 1, 0, 0)
    assert outcomes(lab, *RESULTS) == [(1, 2, "lost"), (3, 1, "won")]
    assert set(outcomes(lab, "prediction_id", "experiment_id", "video_id", "excess")) == {
        (prediction.prediction_id, number, None, None)
    }


@pytest.mark.parametrize("outcome", ["inconclusive", "performed_the_same"])
def test_an_experiment_without_a_winner_is_joined_with_its_outcome(lab: Lab, outcome: str) -> None:
    predict(lab, "a", "b")
    experiment(lab, "a", "b", outcome=outcome)
    join_outcomes(lab)
    assert outcomes(lab, "result") == [(outcome,)] * 2


def test_a_variant_in_another_file_than_the_candidate_is_recognised_by_its_hash(lab: Lab, drawn: Any) -> None:
    files = [drawn(seed) for seed in (1, 2)]
    for data in files:
        lab.images.put(data)
    hashes = [perceptual_hash(decode(data).pixels) for data in files]
    # The candidates and the variants have the same perceptual hashes, but different file digests. This happens if a
    # person sends the same pictures in other files.
    predict(lab, "first", "second", hashes={"first": hashes[0], "second": hashes[1]})
    variants = tuple(Variant(digest(data), None) for data in files)
    facts = ("video_aaaaa", SCORED.date(), None, "winner", 2)
    with lab.engine.begin() as connection:
        save(connection, Experiment(CHANNEL, *facts, variants=variants))
    join_outcomes(lab)
    assert outcomes(lab, *RESULTS) == [(1, 1, "lost"), (2, 2, "won")]


NOT_JOINED: dict[str, tuple[list[str], dict[str, Any], list[str], dict[str, Any]]] = {
    "another channel": (["a", "b"], {"channel_id": "UC" + "b" * 22}, ["a", "b"], {}),
    "no channel": (["a", "b"], {"channel_id": None}, ["a", "b"], {}),
    "one tested candidate": (["a", "b"], {}, ["a", "c"], {}),
    "two candidates with the same picture": (["a", "a", "b"], {}, ["a", "b"], {}),
    "two near-identical candidates": (["a", "near a", "b"], {}, ["a", "b"], {}),
    "a prediction after the first day of the test": (
        ["a", "b"],
        {"scored_at": SCORED + timedelta(days=2)},
        ["a", "b"],
        {},
    ),
    "variants with other titles": (["a", "b"], {}, ["a", "b"], {"titles": ["One", "Two"]}),
}


@pytest.mark.parametrize("name", NOT_JOINED)
def test_experiments_with_doubtful_pictures_are_not_joined(lab: Lab, name: str) -> None:
    pictures, facts, tested, experiment_facts = NOT_JOINED[name]
    predict(lab, *pictures, **facts)
    experiment(lab, *tested, winner=1, **experiment_facts)
    join_outcomes(lab)
    assert outcomes(lab, "result") == []


def test_joining_again_follows_a_corrected_experiment_and_stores_nothing_twice(lab: Lab) -> None:
    predict(lab, "a", "b")
    facts = {"video_id": "video_aaaaa"}
    experiment(lab, "a", "b", winner=1, **facts)
    assert join_outcomes(lab) == join_outcomes(lab)
    assert outcomes(lab, *RESULTS) == [(1, 1, "won"), (2, 2, "lost")]
    experiment(lab, "a", "b", winner=2, **facts)
    join_outcomes(lab)
    assert outcomes(lab, *RESULTS) == [(1, 1, "lost"), (2, 2, "won")]


@pytest.mark.parametrize("table", [experiments, predictions])
def test_an_outcome_is_deleted_with_its_experiment_and_with_its_prediction(lab: Lab, table: Any) -> None:
    predict(lab, "a", "b")
    experiment(lab, "a", "b", winner=1)
    join_outcomes(lab)
    with lab.engine.begin() as connection:
        connection.execute(delete(table))
    assert outcomes(lab, "result") == []
