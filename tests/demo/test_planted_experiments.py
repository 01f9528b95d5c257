"""Test the simulated experiments of a synthetic catalogue.

The more impressions an experiment has, the more often the variant with the best planted quality wins.
"""

import math
from collections import Counter

import numpy as np
import pytest

from demo.catalogues.effects import ONE_TITLE, topic_of
from demo.catalogues.experiments import PlantedExperiment, Subject, outcome_of, planted_experiments
from demo.catalogues.formula import SIGMA_Q
from demo.catalogues.synthetic import SyntheticCatalogue, synthetic_catalogue


@pytest.fixture(scope="module")
def catalogue() -> SyntheticCatalogue:
    return synthetic_catalogue(420, 3, ONE_TITLE)


def run(
    catalogue: SyntheticCatalogue, number: int, impressions: int | None = None, subject: Subject = "pictures"
) -> list[PlantedExperiment]:
    """Return `number` experiments of each of the first four channels."""
    channels = list(catalogue.channels)[:4]
    return [
        experiment
        for channel in channels
        for experiment in planted_experiments(
            catalogue, channel, number, seed=1, subject=subject, impressions=impressions
        )
    ]


def best(experiment: PlantedExperiment) -> int:
    """Return the index of the variant with the best planted quality."""
    return int(np.argmax([variant.thumbnail.quality for variant in experiment.variants]))


def test_an_experiment_has_the_figures_of_test_and_compare(catalogue: SyntheticCatalogue) -> None:
    channel = next(iter(catalogue.channels))
    experiments = planted_experiments(catalogue, channel, 40, seed=1)
    assert experiments == planted_experiments(catalogue, channel, 40, seed=1)
    assert experiments != planted_experiments(catalogue, channel, 40, seed=2)
    videos = [video.video_id for video in catalogue.channels[channel].videos]
    assert max(Counter(experiment.video_id for experiment in experiments).values()) <= math.ceil(40 / len(videos))
    assert {len(experiment.variants) for experiment in experiments} == {2, 3}
    assert {experiment.outcome for experiment in experiments} >= {"winner", "inconclusive"}
    for experiment in experiments:
        variants = experiment.variants
        assert variants[0].thumbnail == catalogue.thumbnail(experiment.video_id)
        assert len({variant.thumbnail.image for variant in variants}) == len(variants)
        assert {variant.thumbnail.title for variant in variants} == {catalogue.videos[experiment.video_id].title}
        assert sum(variant.watch_time_share for variant in variants) == pytest.approx(1)
        assert 990 <= experiment.impressions <= 100_010
        assert (experiment.winner is not None) == (experiment.outcome == "winner")
        if experiment.winner is not None:
            assert experiment.winner == int(np.argmax([variant.watch_time_share for variant in variants]))


def test_titles_are_tested_about_one_topic_and_with_one_picture(catalogue: SyntheticCatalogue) -> None:
    for experiment in run(catalogue, 5, subject="titles"):
        thumbnails = [variant.thumbnail for variant in experiment.variants]
        assert len({thumbnail.image for thumbnail in thumbnails}) == 1
        assert len({thumbnail.title for thumbnail in thumbnails}) == len(thumbnails)
        assert len({topic_of(thumbnail.title) for thumbnail in thumbnails}) == 1


@pytest.mark.slow
@pytest.mark.parametrize("subject", ["pictures", "titles"])
def test_the_better_variant_wins_more_often_with_more_impressions(
    catalogue: SyntheticCatalogue, subject: Subject
) -> None:
    wins, errors, leads = [], [], []
    for impressions in (100, 1_000, 30_000):
        experiments = run(catalogue, 15, impressions, subject)
        wins.append(np.mean([experiment.winner == best(experiment) for experiment in experiments]))
        errors.append(np.mean([experiment.winner not in (None, best(experiment)) for experiment in experiments]))
        shares = [[variant.watch_time_share for variant in experiment.variants] for experiment in experiments]
        leads.append(
            np.mean(
                [
                    int(np.argmax(share)) == best(experiment)
                    for share, experiment in zip(shares, experiments, strict=True)
                ]
            )
        )
    assert wins[0] < wins[1] < wins[2]
    assert wins[2] > 0.75
    assert max(errors) < 0.05
    assert leads[0] < leads[2] and leads[2] > 0.9


def test_watch_time_shares_are_in_the_ratio_of_the_planted_effects(catalogue: SyntheticCatalogue) -> None:
    for experiment in run(catalogue, 5, impressions=10_000_000):
        first, second = experiment.variants[:2]
        gap = SIGMA_Q * (first.thumbnail.quality - second.thumbnail.quality)
        assert math.log(first.watch_time_share / second.watch_time_share) == pytest.approx(gap, abs=0.02)


def test_the_outcome_follows_the_stated_rule() -> None:
    assert outcome_of([600, 500], 10_000) == ("winner", 0)
    assert outcome_of([60, 50], 1_000) == ("inconclusive", None)
    assert outcome_of([500, 600, 590], 10_000) == ("inconclusive", None)
    assert outcome_of([500, 700, 590], 10_000) == ("winner", 1)
    assert outcome_of([50_000, 50_100, 50_200], 1_000_000) == ("performed the same", None)
    assert outcome_of([50_000, 51_000], 1_000_000) == ("winner", 1)
    assert outcome_of([0, 0], 100) == ("inconclusive", None)


def test_two_equal_variants_have_a_winner_in_one_of_twenty_experiments() -> None:
    clicks = np.random.default_rng(0).binomial(2_000, 0.05, (4_000, 2))
    winners = np.mean([outcome_of(pair, 2_000)[0] == "winner" for pair in clicks.tolist()])
    assert winners == pytest.approx(0.05, abs=0.01)


def test_impossible_numbers_and_unknown_channels_are_errors(catalogue: SyntheticCatalogue) -> None:
    channel = next(iter(catalogue.channels))
    assert planted_experiments(catalogue, channel, 0, seed=1) == []
    with pytest.raises(ValueError, match="number is -1"):
        planted_experiments(catalogue, channel, -1, seed=1)
    with pytest.raises(ValueError, match="impressions is 0"):
        planted_experiments(catalogue, channel, 1, seed=1, impressions=0)
    with pytest.raises(KeyError):
        planted_experiments(catalogue, "UCnobody", 1, seed=1)
