"""Tests of the evaluation of the model and of the reference models. Each of these models is called a scorer.

There are three splits of the pairs: the future of known channels, unseen channels, and unseen channels with adapters.
In each split, no reference model uses more data of the evaluated channels than the model does. Each figure is measured
on the held-out pairs of its split.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sqlalchemy import select

from thumblab_core.database.tables import model_evaluations
from thumblab_pipelines.dataset.load import Dataset
from thumblab_pipelines.dataset.splits import TEST, TRAIN, VALIDATION
from thumblab_pipelines.evaluation import evaluate as evaluate_module
from thumblab_pipelines.evaluation.evaluate import evaluate, evaluate_scores, figure, save_evaluations
from thumblab_pipelines.evaluation.figures import ADAPTED, FUTURE, NEW_CHANNELS, Evaluation, HeldOutPairs
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.statistics.calibration import fit_slope, too_close_share
from thumblab_pipelines.statistics.held_out_scores import HeldOutScores

Plant = Callable[..., Dataset]
ByKey = dict[tuple[str, str, str, str], Evaluation]

MARGIN_SLICES = ("margin 0-0.1", "margin 0.1-0.25", "margin 0.25-0.5", "margin 0.5-0.75", "margin 0.75-1")
REFERENCES = {FUTURE: "partial_pooling", NEW_CHANNELS: "linear", ADAPTED: "partial_pooling"}


def constant(data: Dataset, **scores: Any) -> HeldOutScores:
    """Return the held-out scores of a model that gives every video the score 0.

    `scores` replaces the fields that it names, such as `future`.
    """
    zeros = np.zeros(len(data.videos))
    slopes = {"slope": 1.0, "slope_adapted": 1.0}
    names = ("future", "future_unadapted", "new", "adapted")
    return HeldOutScores(**{**dict.fromkeys(names, zeros), **slopes, **scores})


def by_key(evaluations: list[Evaluation]) -> ByKey:
    figures = {(e.split, e.slice, e.scorer, e.metric): e for e in evaluations}
    assert len(figures) == len(evaluations), "a figure occurs twice"
    return figures


def target(data: Dataset) -> npt.NDArray[np.float64]:
    return np.asarray(data.videos.target, np.float64)


@pytest.fixture(scope="module")
def data(plant: Plant) -> Dataset:
    return plant(channels=6, videos=60)


@pytest.fixture(scope="module")
def figures(data: Dataset) -> ByKey:
    truth = target(data)
    noisy = truth + np.random.default_rng(0).standard_normal(len(truth))
    return by_key(evaluate(data, HeldOutScores(truth, noisy, noisy, truth, 2.0, 3.0)))


def test_each_split_has_figures_of_scorers_with_at_most_the_models_knowledge(figures: ByKey) -> None:
    scorers_of = {split: {e.scorer for e in figures.values() if e.split == split} for split in REFERENCES}
    simple = {"age", "length", "title", "image", "linear"}
    assert scorers_of == {
        FUTURE: {"model", "global", "partial_pooling"} | simple,
        NEW_CHANNELS: {"model"} | simple,
        ADAPTED: {"model", "global", "partial_pooling"},
    }
    for split, scorers in scorers_of.items():
        for scorer in scorers:
            for slice_ in ("all", "2x"):
                assert (split, slice_, scorer, "auc") in figures
    assert len(figures) < 250


def test_the_model_and_the_best_reference_are_evaluated_in_detail(figures: ByKey) -> None:
    for split, reference in REFERENCES.items():
        slices = {e.slice for e in figures.values() if (e.split, e.scorer) == (split, "model") and e.metric == "auc"}
        assert slices == {"all", "2x", *MARGIN_SLICES, "niche:tech", "niche:news", *(f"channel:c{i}" for i in range(6))}
        assert slices == {
            e.slice for e in figures.values() if (e.split, e.scorer, e.metric) == (split, reference, "auc")
        }
        metrics = {e.metric for e in figures.values() if (e.split, e.slice, e.scorer) == (split, "all", "model")}
        lead = f"lead_over_{reference}"
        claims = {"ece", "ece_if_calibrated", "log_loss", "abstained", "accuracy_decided"}
        assert metrics == {"auc", "auc_over_channels", lead, "spearman", "ctr_correlation"} | claims
        model_auc, reference_auc = (figures[split, "2x", scorer, "auc"].value for scorer in ("model", reference))
        assert model_auc is not None
        assert reference_auc is not None
        assert figures[split, "2x", "model", lead].value == pytest.approx(model_auc - reference_auc)


def test_each_figure_is_measured_on_the_pairs_of_its_split(figures: ByKey, data: Dataset) -> None:
    test = data.pairs[data.pairs.part == TEST]
    for split, pairs in ((FUTURE, test), (NEW_CHANNELS, data.pairs), (ADAPTED, test)):
        sizes = {slice_: figures[split, slice_, "model", "auc"] for slice_ in ("all", "2x", *MARGIN_SLICES)}
        assert sizes["all"].pairs == len(pairs)
        assert sizes["all"].channels == 6
        assert sizes["2x"].pairs == (pairs.margin >= 0.5).sum()
        assert sum(sizes[name].pairs for name in MARGIN_SLICES) == len(pairs)
        assert sum(figures[split, f"channel:c{i}", "model", "auc"].pairs for i in range(6)) == len(pairs)
    assert figures[FUTURE, "all", "model", "auc"].value == figures[ADAPTED, "all", "model", "auc"].value == 1.0
    new = figures[NEW_CHANNELS, "all", "model", "auc"].value
    assert new is not None
    assert 0.5 < new < 1.0
    assert figures[FUTURE, "all", "model", "spearman"].value == pytest.approx(1.0)
    assert figures[FUTURE, "all", "model", "spearman"].channels == 6


def test_a_pair_at_the_edge_of_two_margin_slices_is_counted_once(data: Dataset) -> None:
    pairs = data.pairs.iloc[:6].assign(margin=[0.0, 0.1, 0.25, 0.5, 0.75, 1.0])
    rows = list(HeldOutPairs(FUTURE, pairs).detailed_aucs(data.videos, "model", target(data)))
    assert [(e.slice, e.pairs) for e in rows] == list(zip(MARGIN_SLICES, (1, 1, 1, 1, 2), strict=True))


def test_every_interval_contains_its_value(figures: ByKey) -> None:
    for e in figures.values():
        if e.low is not None:
            assert e.value is not None
            assert e.high is not None
            assert e.low - 1e-12 <= e.value <= e.high + 1e-12, e
        elif e.value is not None:
            assert e.metric in ("ece", "log_loss"), e


def test_reference_models_are_fitted_without_the_channels_they_are_evaluated_on(
    data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted_to: list[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp] | None]] = []

    def recording(data: Dataset, known: Any, own: Any = None) -> dict[str, npt.NDArray[np.float64]]:
        fitted_to.append((known, own))
        return dict.fromkeys(("linear", "partial_pooling"), np.zeros(len(data.videos)))

    monkeypatch.setattr(evaluate_module, "references", recording)
    evaluate(data, constant(data))
    first = np.union1d(data.rows(TRAIN), data.rows(VALIDATION))
    np.testing.assert_array_equal(fitted_to[0][0], first)
    assert fitted_to[0][1] is None
    folds = data.videos.fold.to_numpy(int)
    assert len(fitted_to) == 4
    for fold, (known, own) in enumerate(fitted_to[1:]):
        np.testing.assert_array_equal(known, np.flatnonzero(folds != fold))
        assert own is not None
        np.testing.assert_array_equal(own, first[folds[first] == fold])


def test_constant_scores_have_an_auc_of_one_half_and_leave_every_pair_too_close_to_call(data: Dataset) -> None:
    figures = by_key(evaluate(data, constant(data)))
    for split in REFERENCES:
        assert figures[split, "all", "model", "auc"].value == 0.5
        assert figures[split, "all", "model", "ece"].value == 0.0
        assert figures[split, "all", "model", "abstained"].value == 1.0
        assert figures[split, "all", "model", "accuracy_decided"].value is None
        assert figures[split, "all", "model", "spearman"].value == 0.0
    for name in ("age", "length"):
        assert figures[FUTURE, "all", name, "auc"].value == pytest.approx(0.5, abs=0.06), (
            "the target is corrected for age, so the age must not help"
        )


def test_a_slope_that_is_too_steep_has_a_large_calibration_error(data: Dataset) -> None:
    scores = target(data) + 2 * np.random.default_rng(0).standard_normal(len(data.videos))
    calibrated = by_key(evaluate(data, constant(data, new=scores, slope=0.3)))
    overconfident = by_key(evaluate(data, constant(data, new=scores, slope=30.0)))
    key = (NEW_CHANNELS, "all", "model", "ece")
    small, large = calibrated[key].value, overconfident[key].value
    assert small is not None
    assert large is not None
    assert small < 0.1 < large
    assert calibrated[NEW_CHANNELS, "all", "model", "auc"] == overconfident[NEW_CHANNELS, "all", "model", "auc"]


def test_a_slope_fitted_on_validation_pairs_is_calibrated_on_test_pairs(
    plant: Plant,
) -> None:
    data = plant(channels=20, videos=100, noise=1.0)
    scores = 10 * data.images[:, 0].astype(np.float64)
    validation = data.pairs[data.pairs.part == VALIDATION]
    gaps = scores[validation.winner] - scores[validation.loser]
    slope = fit_slope(gaps)
    figures = evaluate(data, constant(data, future=scores, slope_adapted=slope))
    error, abstained, accuracy = (figure(figures, FUTURE, metric=m) for m in ("ece", "abstained", "accuracy_decided"))
    overall = figure(figures, FUTURE)
    assert error.value is not None
    assert error.value <= 0.05
    assert abstained.value == pytest.approx(too_close_share(gaps, slope), abs=0.05)
    assert 0.1 < too_close_share(gaps, slope) < 0.9
    assert accuracy.value is not None
    assert overall.value is not None
    assert accuracy.value > overall.value + 0.02, (
        "the accuracy must be higher without the pairs that are too close to call"
    )
    assert accuracy.pairs == round(overall.pairs * (1 - abstained.value))


def test_scores_are_correlated_with_true_click_through_rates_where_they_are_known(data: Dataset) -> None:
    rates = np.where(data.videos.channel_id == "c0", target(data), np.nan)
    rated = replace(data, videos=data.videos.assign(click_through_rate=rates))
    truth = target(data)
    figures = by_key(evaluate(rated, constant(rated, future=truth, new=-truth)))
    future, new = (figures[split, "all", "model", "ctr_correlation"] for split in (FUTURE, NEW_CHANNELS))
    assert (future.value, future.channels, future.low) == (pytest.approx(1.0), 1, None)
    assert new.value == pytest.approx(-1.0)


def test_a_slice_without_pairs_has_no_figure(plant: Plant) -> None:
    data = plant(channels=3, videos=40, target=np.random.default_rng(0).normal(0, 1e-3, 120))
    empty = [e for e in evaluate(data, constant(data)) if e.slice == "2x"]
    assert empty
    assert all((e.pairs, e.channels, e.value, e.low) == (0, 0, None, None) for e in empty)


def test_a_lab_of_one_channel_has_no_reference_models_for_unseen_channels(plant: Plant) -> None:
    """Evaluate the pairs of a lab with a single channel.

    A reference model for an unseen channel is fitted to the other channels, and here there are no other channels.
    """
    data = plant(channels=1, videos=60)
    figures = by_key(evaluate(data, constant(data, future=target(data))))
    assert figures[FUTURE, "all", "model", "auc"].value == 1.0
    assert {e.scorer for e in figures.values() if e.split == NEW_CHANNELS} == {"model"}
    assert {e.scorer for e in figures.values() if e.split == ADAPTED} == {"model", "global"}


def test_any_scores_can_be_evaluated_on_the_same_pairs(data: Dataset, figures: ByKey) -> None:
    assert {
        (e.slice, e.scorer, e.value, e.pairs) for e in evaluate_scores(data.pairs, target(data), FUTURE, "planted")
    } == {(slice_, "planted", 1.0, figures[FUTURE, slice_, "model", "auc"].pairs) for slice_ in ("all", "2x")}


def test_a_figure_is_returned_by_name_and_a_missing_one_is_an_error(figures: ByKey) -> None:
    assert figure(figures.values(), FUTURE, "2x") is figures[FUTURE, "2x", "model", "auc"]
    assert figure(figures.values(), FUTURE, metric="ece") is figures[FUTURE, "all", "model", "ece"]
    with pytest.raises(KeyError, match="no f1 of the model in the slice all of the split future"):
        figure(figures.values(), FUTURE, metric="f1")


def test_an_evaluation_is_read_back_from_json_also_in_the_old_form_with_auc_only(figures: ByKey) -> None:
    for evaluation in figures.values():
        assert Evaluation.of(json.loads(json.dumps(asdict(evaluation), allow_nan=False))) == evaluation
    common = {"split": FUTURE, "slice": "all", "scorer": "age", "pairs": 9, "channels": 2}
    read = Evaluation.of({**common, "auc": 0.6, "auc_low": 0.5, "auc_high": 0.7})
    assert read == Evaluation(FUTURE, "all", "age", "auc", 0.6, 0.5, 0.7, 9, 2)


def test_saving_an_evaluation_again_changes_nothing(open_lab: Callable[..., Lab], figures: ByKey) -> None:
    lab = open_lab()
    for _ in range(2):
        save_evaluations(lab, "release", list(figures.values()))
    with lab.engine.connect() as connection:
        rows = connection.execute(select(model_evaluations)).mappings().all()
    assert {row["release_id"] for row in rows} == {"release"}
    names = asdict(next(iter(figures.values())))
    assert {Evaluation(**{name: row[name] for name in names}) for row in rows} == set(figures.values())
