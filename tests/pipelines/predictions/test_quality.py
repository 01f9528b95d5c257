"""Tests of the figures that compare kept predictions with their outcomes, and of the checks of these figures.

The figures are the accuracy and the calibration of the predictions, for each model release and over all releases.
"""

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from kept import SCORED, experiment, predict, publish

from thumblab_pipelines.lab import Lab
from thumblab_pipelines.predictions.join import join_outcomes
from thumblab_pipelines.predictions.plot import quality_plot
from thumblab_pipelines.predictions.quality import EVERY, ReleaseQuality, measure_quality
from thumblab_pipelines.predictions.report import check_quality, metadata, table


def measure(lab: Lab) -> dict[str, ReleaseQuality]:
    join_outcomes(lab)
    return {quality.release: quality for quality in measure_quality(lab)}


def claim(lab: Lab, chance: float, wins: bool, number: int, **facts: Any) -> None:
    """Store a prediction about two pictures, and an experiment with the same two pictures.

    `number` is a part of the pictures' names. `chance` is the win probability of the first picture. If `wins` is true,
    this picture wins the experiment. Otherwise, the second picture wins. `facts` replaces fields of the prediction.
    """
    pictures = (f"first {number}", f"second {number}")
    predict(lab, *pictures, chances=(chance, 1 - chance), **facts)
    experiment(lab, *pictures, winner=1 if wins else 2)


def claim_many(lab: Lab, count: int, claimed: float, true: float, **facts: Any) -> None:
    """Call `claim` `count` times. Each prediction gives its first picture the win probability `claimed`.

    The first picture wins in the fraction `true` of the experiments.
    """
    for number in range(count):
        claim(lab, claimed, number < round(true * count), number, **facts)


def test_the_claim_about_a_pair_is_the_share_of_its_winner_in_both_probabilities(lab: Lab) -> None:
    predict(lab, "a", "b", "c", chances=(0.5, 0.3, 0.2))
    experiment(lab, "b", "c", winner=1)
    tested = measure(lab)[EVERY].experiments
    assert tested is not None
    assert (tested.pairs, tested.experiments, tested.channels) == (1, 1, 1)
    assert tested.accuracy.value == 1
    assert tested.log_loss == pytest.approx(-np.log(0.3 / 0.5))
    assert tested.overconfidence.value == pytest.approx(0.6 - 1)
    assert tested.ece == pytest.approx(0.4)


def test_a_winner_of_three_decides_two_pairs_and_an_open_test_decides_no_pair(lab: Lab) -> None:
    predict(lab, "a", "b", "c", chances=(0.5, 0.3, 0.2))
    experiment(lab, "a", "b", "c", winner=2)
    experiment(lab, "a", "b", outcome="performed_the_same")
    experiment(lab, "a", "c")
    tested = measure(lab)[EVERY].experiments
    assert tested is not None
    assert (tested.pairs, tested.accuracy.value) == (2, 0.5)


def test_a_candidate_that_was_not_ranked_makes_no_claim(lab: Lab) -> None:
    predict(lab, "a", "b", chances=(None, None))
    experiment(lab, "a", "b", winner=1)
    quality = measure(lab)[EVERY]
    assert (quality.predictions, quality.experiments) == (1, None)


def test_an_answer_that_was_ordered_by_evidence_is_judged_by_its_order_alone(lab: Lab) -> None:
    for number, winner in enumerate((1, 1, 2)):
        names = (f"better {number}", f"worse {number}")
        predict(lab, *names, chances=(0.9, 0.1), ordered_by="evidence", verdict="no_skill", confidence=None)
        experiment(lab, *names, winner=winner)
    measured = measure(lab)
    quality = measured[EVERY]
    assert quality.experiments is None
    assert quality.evidence is not None
    assert (quality.evidence.pairs, quality.evidence.compared, quality.evidence.channels) == (3, 3, 1)
    assert quality.evidence.accuracy.value == pytest.approx(2 / 3)
    assert metadata(quality)["evidence_accuracy"] == pytest.approx(2 / 3, abs=1e-4)
    enough, calibrated = check_quality(list(measured.values()), True)
    assert "0 pairs with probabilities and 3 pairs that were ordered by evidence" in enough.explanation
    assert calibrated.passed


def test_figures_are_given_by_release_and_a_repeated_question_counts_once(lab: Lab) -> None:
    for hours, release, chance in ((0, "r1", 0.9), (1, "r1", 0.2), (2, "r2", 0.7)):
        facts = {"model_release": release, "scored_at": SCORED + timedelta(hours=hours)}
        predict(lab, "a", "b", chances=(chance, 1 - chance), **facts)
    experiment(lab, "a", "b", winner=1)
    measured = measure(lab)
    assert list(measured) == [EVERY, "r2", "r1"]
    assert [quality.predictions for quality in measured.values()] == [3, 1, 2]
    losses = [quality.experiments.log_loss for quality in measured.values() if quality.experiments is not None]
    # All three predictions are about the same pair. If several predictions are about one pair, only the latest counts.
    # Among the predictions of all releases, the prediction by r2 is the latest. Among the two predictions by r1, the
    # second prediction is the latest.
    assert losses == pytest.approx([-np.log(0.7), -np.log(0.7), -np.log(0.2)])


@pytest.mark.parametrize("last", ["model", "evidence"])
def test_a_question_that_was_answered_by_evidence_and_by_the_model_counts_once(lab: Lab, last: str) -> None:
    for hours, ordered_by in enumerate(sorted(("model", "evidence"), key=lambda name: name == last)):
        predict(lab, "a", "b", ordered_by=ordered_by, scored_at=SCORED + timedelta(hours=hours))
    experiment(lab, "a", "b", winner=1)
    quality = measure(lab)[EVERY]
    assert (quality.experiments is not None, quality.evidence is not None) == (last == "model", last == "evidence")


def test_calibrated_claims_pass_and_their_figures_are_plain_numbers(lab: Lab) -> None:
    claim_many(lab, 40, claimed=0.75, true=0.75)
    join_outcomes(lab)
    qualities = measure_quality(lab)
    figures = metadata(qualities[0])
    assert figures["decided_pairs"] == 40
    assert figures["accuracy"] == 0.75
    assert figures["accuracy_low"] < 0.75 < figures["accuracy_high"]
    assert (figures["ece"], figures["overconfidence"]) == (0, 0)
    assert {type(value) for value in figures.values()} <= {int, float}
    assert [(check.name, check.passed, check.advisory) for check in check_quality(qualities, True)] == [
        ("enough_outcomes", True, True),
        ("calibrated", True, True),
    ]
    plot = quality_plot(qualities)
    assert plot is not None
    assert plot.startswith("![calibration and accuracy](data:image/png;base64,iVBORw0KGgo")
    rows = table(qualities).splitlines()
    assert [row.split(" | ")[0] for row in rows[2:]] == ["| all", "| r1"]
    assert {row.count("|") for row in rows} == {12}


@pytest.mark.parametrize(("claimed", "true", "sign"), [(0.95, 0.5, 1), (0.55, 1.0, -1)])
def test_claims_that_are_too_sure_or_not_sure_enough_fail_the_check(
    lab: Lab, claimed: float, true: float, sign: int
) -> None:
    claim_many(lab, 40, claimed, true)
    join_outcomes(lab)
    qualities = measure_quality(lab)
    enough, calibrated = check_quality(qualities, True)
    assert (enough.passed, calibrated.passed) == (True, False)
    assert f"too sure by {100 * (claimed - true):.1f}" in calibrated.explanation
    assert np.sign(metadata(qualities[0])["overconfidence"]) == sign


def test_few_claims_are_not_judged(lab: Lab) -> None:
    claim_many(lab, 10, claimed=0.95, true=0.1)
    join_outcomes(lab)
    enough, calibrated = check_quality(measure_quality(lab), True)
    assert (enough.passed, calibrated.passed) == (False, True)
    assert enough.explanation == (
        "experiments decided 10 pairs with probabilities and 0 pairs that were ordered by evidence; "
        "30 pairs are needed to judge the answers"
    )
    assert calibrated.explanation == "not judged: no release has 30 decided pairs with probabilities"


def test_without_predictions_the_check_says_how_to_keep_them(lab: Lab) -> None:
    join_outcomes(lab)
    (every,) = measure_quality(lab)
    assert metadata(every) == {"predictions": 0}
    assert quality_plot([every]) is None
    enough, _ = check_quality([every], keeps=False)
    assert "set THUMBLAB_KEEP_PREDICTIONS=true" in enough.explanation


def put_published(lab: Lab, *claims: tuple[float, float], **facts: Any) -> None:
    """Store predictions with two candidates each, and for each prediction a video that shows the first candidate.

    Each element of `claims` has the score of the first candidate, and the views of the video at the age of a week.
    """
    for number, (score, views) in enumerate(claims):
        names = (f"published {number} {facts}", f"left {number} {facts}")
        predict(lab, *names, chances=(score / 100, 0.1), **facts)
        publish(lab, f"v{number} {len(str(facts))}", names[0], views, days=1 + number / 24)


def test_published_candidates_of_a_channel_are_compared_by_their_scores(lab: Lab) -> None:
    # Four videos make six pairs. One pair is in the wrong order: the video with the score 60 has fewer views than the
    # video with the score 40.
    put_published(lab, (10, 1_000), (60, 2_000), (40, 4_000), (90, 8_000))
    videos = measure(lab)[EVERY].videos
    assert videos is not None
    assert (videos.pairs, videos.compared, videos.channels) == (6, 4, 1)
    assert videos.accuracy.value == pytest.approx(5 / 6)
    assert videos.accuracy.low < 5 / 6 < videos.accuracy.high


def test_over_all_releases_a_pair_of_videos_counts_once_with_its_latest_claim(lab: Lab) -> None:
    for hours, release, scores in ((0, "r1", (10, 60)), (1, "r2", (60, 10))):
        for number, score in enumerate(scores):
            facts = {"model_release": release, "scored_at": SCORED + timedelta(hours=hours)}
            predict(lab, f"published {number}", f"left {number}", chances=(score / 100, 0.1), **facts)
    # The last two videos have no prediction. They are needed to compute the trend of the channel.
    for number, views in enumerate((1_000, 2_000, 1_500, 1_500)):
        publish(lab, f"v{number}", f"published {number}", views, days=1 + number / 24)
    figures = {
        name: (quality.videos.pairs, quality.videos.compared, quality.videos.accuracy.value)
        for name, quality in measure(lab).items()
        if quality.videos is not None
    }
    assert figures == {EVERY: (1, 2, 0), "r2": (1, 2, 0), "r1": (1, 2, 1)}


def test_scores_of_different_releases_or_states_of_knowledge_are_not_compared(lab: Lab) -> None:
    put_published(lab, (10, 1_000), (60, 2_000))
    put_published(lab, (10, 1_500), (60, 2_500), model_release="release 2")
    put_published(lab, (10, 1_700), (60, 2_700), knowledge="adapted")
    measured = measure(lab)
    pairs = {name: quality.videos.pairs for name, quality in measured.items() if quality.videos is not None}
    assert pairs == {EVERY: 3, "r1": 2, "release 2": 1}
