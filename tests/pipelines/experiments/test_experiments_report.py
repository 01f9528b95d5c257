"""Tests of the report, the checks and the preview of experiments.

The report counts the outcomes of each channel, and how often the model's scores agree with the outcomes.
"""

from dataclasses import replace
from pathlib import Path

import pytest
from given_experiments import CHANNEL, given, kept, put_channel, stored

from thumblab_pipelines.experiments.add import ExperimentWriter
from thumblab_pipelines.experiments.report import (
    Agreement,
    agreement_of,
    check_experiments,
    count_outcomes,
    preview,
    report_channels,
)
from thumblab_pipelines.lab import Lab

OTHER = "UC" + "b" * 22


def test_a_report_counts_the_outcomes_of_each_channel() -> None:
    made = [
        stored(1, 1, channel_id=OTHER),
        stored(2, 1),
        stored(3, 2),
        stored(4),
        stored(5, outcome="performed_the_same"),
    ]
    first, second = report_channels(made)
    assert (first.channel_id, first.experiments, first.winner) == (CHANNEL, 4, 2)
    assert (first.performed_the_same, first.inconclusive, first.agreement) == (1, 1, None)
    assert (second.channel_id, second.experiments, second.winner) == (OTHER, 1, 1)
    assert report_channels([]) == []
    assert count_outcomes(made) == {"winner": 3, "performed_the_same": 1, "inconclusive": 1}
    assert count_outcomes([]) == {"winner": 0, "performed_the_same": 0, "inconclusive": 0}


def test_scores_agree_with_an_outcome_if_the_winner_has_the_highest_score() -> None:
    made = [stored(1, 1), stored(2, 2), stored(3, 3, variants=3), stored(4), stored(5, 1)]
    scores = {1: [0.9, 0.1], 2: [0.9, 0.1], 3: [0.1, 0.2, 0.3], 4: [1.0, 0.0]}
    # Experiment 4 has no winner, and experiment 5 has no scores. The report counts neither of these experiments.
    assert agreement_of(made, scores) == Agreement(3, 2.0, pytest.approx(1 / 2 + 1 / 2 + 1 / 3))
    assert report_channels(made, scores)[0].agreement == agreement_of(made, scores)
    assert agreement_of(made, {}) == Agreement(0, 0.0, 0.0)


def test_equal_scores_agree_as_often_as_by_chance() -> None:
    agreement = agreement_of([stored(1, 1), stored(2, 3, variants=3)], {1: [0.5, 0.5], 2: [0.7, 0.7, 0.7]})
    assert agreement.agreed == agreement.by_chance == pytest.approx(1 / 2 + 1 / 3)


def test_the_checks_pass_with_complete_experiments_and_without_experiments(lab: Lab, pictures: list[Path]) -> None:
    assert all(check.passed for check in check_experiments(lab, []))
    ExperimentWriter(lab).add(given(pictures, outcome="winner", winner=1))
    ExperimentWriter(lab).add(given(["One", "Two"], video_id="video_bbbbb"))
    there, consistent = check_experiments(lab, kept(lab))
    assert (there.passed, there.advisory, consistent.passed, consistent.advisory) == (True, False, True, True)
    assert there.explanation == "1 experiments have pictures, 1 tested titles without pictures"


def test_a_picture_that_is_missing_from_the_store_fails_a_check(lab: Lab, pictures: list[Path]) -> None:
    added = ExperimentWriter(lab).add(given(pictures))
    lab.images.remove(added.experiment.variants[1].sha256 or "")
    there, _ = check_experiments(lab, kept(lab))
    assert not there.passed
    assert there.explanation.startswith(f"experiments {added.experiment_id} lack pictures")


def test_a_winner_without_the_largest_share_fails_a_check_that_only_warns(lab: Lab) -> None:
    variants = [{"title": "One", "share": 60.0}, {"title": "Two", "share": 40.0}]
    added = ExperimentWriter(lab).add(given(variants, outcome="winner", winner=2))
    _, consistent = check_experiments(lab, kept(lab))
    assert (consistent.passed, consistent.advisory) == (False, True)
    assert f"experiments {added.experiment_id} disagree: variant 2 won" in consistent.explanation


def test_a_check_names_at_most_five_experiments() -> None:
    variants = tuple(
        replace(variant, watch_time_share=share)
        for variant, share in zip(stored(1).experiment.variants, (0.9, 0.1), strict=True)
    )
    against = [stored(number, 2, variants=2) for number in range(1, 8)]
    against = [replace(one, experiment=replace(one.experiment, variants=variants)) for one in against]
    # The experiments of this test have no pictures, so the check of pictures reads no file.
    _, consistent = check_experiments(None, against)  # type: ignore[arg-type]
    assert consistent.explanation.startswith("experiments 1, 2, 3, 4, 5 and 2 more disagree")


def test_the_preview_shows_ten_experiments_and_no_markup_of_other_people(lab: Lab) -> None:
    put_channel(lab, OTHER, "<b>A|B</b>\n[x](y)")
    ExperimentWriter(lab).add(given(["One", "Two"], channel=OTHER, outcome="winner", winner=1))
    made = [*kept(lab), *(stored(number) for number in range(100, 120))]
    lines = preview(made).splitlines()
    assert len(lines) == 12
    assert not set("<>[") & set(lines[2])
    assert (lines[2].count("|"), "winner: 1" in lines[2], "2 titles" in lines[2]) == (7, True, True)
