"""Promises of the evaluation: every question is put to everybody who may answer, and each figure is of the right pairs."""

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
from thumblab_pipelines.evaluation import evaluate as module
from thumblab_pipelines.evaluation.evaluate import evaluate, evaluate_scores, figure, save_evaluations
from thumblab_pipelines.evaluation.questions import ADAPTED, FUTURE, NEW_CHANNELS, Evaluation, HeldOutPairs
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.statistics.calibration import fit_slope, too_close_share
from thumblab_pipelines.statistics.held_out import HeldOut

Plant = Callable[..., Dataset]
Found = dict[tuple[str, str, str, str], Evaluation]

WIDTHS = ("margin 0-0.1", "margin 0.1-0.25", "margin 0.25-0.5", "margin 0.5-0.75", "margin 0.75-1")
BARS = {FUTURE: "partial_pooling", NEW_CHANNELS: "linear", ADAPTED: "partial_pooling"}


def constant(data: Dataset, **scores: Any) -> HeldOut:
    """A model that knows nothing, but for what is said."""
    nothing = np.zeros(len(data.videos))
    slopes = {"slope": 1.0, "slope_adapted": 1.0}
    names = ("future", "future_unadapted", "new", "adapted")
    return HeldOut(**{**dict.fromkeys(names, nothing), **slopes, **scores})


def by_key(evaluations: list[Evaluation]) -> Found:
    found = {(e.split, e.slice, e.scorer, e.metric): e for e in evaluations}
    assert len(found) == len(evaluations), "a figure is there twice"
    return found


def target(data: Dataset) -> npt.NDArray[np.float64]:
    return np.asarray(data.videos.target, np.float64)


@pytest.fixture(scope="module")
def data(plant: Plant) -> Dataset:
    return plant(channels=6, videos=60)


@pytest.fixture(scope="module")
def found(data: Dataset) -> Found:
    truth = target(data)
    noisy = truth + np.random.default_rng(0).standard_normal(len(truth))
    return by_key(evaluate(data, HeldOut(truth, noisy, noisy, truth, 2.0, 3.0)))


def test_every_question_is_put_to_everybody_who_may_answer_it(found: Found) -> None:
    answered = {split: {e.scorer for e in found.values() if e.split == split} for split in BARS}
    simple = {"age", "length", "title", "image", "linear"}
    assert answered == {
        FUTURE: {"model", "global", "partial_pooling"} | simple,
        NEW_CHANNELS: {"model"} | simple,
        ADAPTED: {"model", "global", "partial_pooling"},
    }
    for split, scorers in answered.items():
        for scorer in scorers:
            for slice_ in ("all", "2x"):
                assert (split, slice_, scorer, "auc") in found
    assert len(found) < 250


def test_the_model_and_the_best_reference_are_judged_in_detail(found: Found) -> None:
    for split, bar in BARS.items():
        slices = {e.slice for e in found.values() if (e.split, e.scorer) == (split, "model") and e.metric == "auc"}
        assert slices == {"all", "2x", *WIDTHS, "niche:tech", "niche:news", *(f"channel:c{i}" for i in range(6))}
        assert slices == {e.slice for e in found.values() if (e.split, e.scorer, e.metric) == (split, bar, "auc")}
        metrics = {e.metric for e in found.values() if (e.split, e.slice, e.scorer) == (split, "all", "model")}
        lead = f"lead_over_{bar}"
        assert metrics == {"auc", lead, "ece", "abstained", "accuracy_decided", "spearman", "ctr_correlation"}
        mine, theirs = (found[split, "2x", scorer, "auc"].value for scorer in ("model", bar))
        assert mine is not None
        assert theirs is not None
        assert found[split, "2x", "model", lead].value == pytest.approx(mine - theirs)


def test_each_figure_is_of_the_pairs_of_its_question(found: Found, data: Dataset) -> None:
    test = data.pairs[data.pairs.part == TEST]
    for split, pairs in ((FUTURE, test), (NEW_CHANNELS, data.pairs), (ADAPTED, test)):
        sizes = {slice_: found[split, slice_, "model", "auc"] for slice_ in ("all", "2x", *WIDTHS)}
        assert sizes["all"].pairs == len(pairs)
        assert sizes["all"].channels == 6
        assert sizes["2x"].pairs == (pairs.margin >= 0.5).sum()
        assert sum(sizes[name].pairs for name in WIDTHS) == len(pairs)
        assert sum(found[split, f"channel:c{i}", "model", "auc"].pairs for i in range(6)) == len(pairs)
    assert found[FUTURE, "all", "model", "auc"].value == found[ADAPTED, "all", "model", "auc"].value == 1.0
    new = found[NEW_CHANNELS, "all", "model", "auc"].value
    assert new is not None
    assert 0.5 < new < 1.0
    assert found[FUTURE, "all", "model", "spearman"].value == pytest.approx(1.0)
    assert found[FUTURE, "all", "model", "spearman"].channels == 6


def test_a_pair_at_the_edge_of_two_margins_is_counted_once(data: Dataset) -> None:
    pairs = data.pairs.iloc[:6].assign(margin=[0.0, 0.1, 0.25, 0.5, 0.75, 1.0])
    rows = list(HeldOutPairs(FUTURE, pairs).detailed_aucs(data.videos, "model", target(data)))
    assert [(e.slice, e.pairs) for e in rows] == list(zip(WIDTHS, (1, 1, 1, 1, 2), strict=True))


def test_every_interval_contains_its_value(found: Found) -> None:
    for e in found.values():
        if e.low is not None:
            assert e.value is not None
            assert e.high is not None
            assert e.low - 1e-12 <= e.value <= e.high + 1e-12, e
        elif e.value is not None:
            assert e.metric == "ece", e


def test_who_is_asked_about_a_channel_has_not_seen_what_it_must_not_know(
    data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp] | None]] = []

    def listening(data: Dataset, known: Any, own: Any = None) -> dict[str, npt.NDArray[np.float64]]:
        asked.append((known, own))
        return dict.fromkeys(("linear", "partial_pooling"), np.zeros(len(data.videos)))

    monkeypatch.setattr(module, "references", listening)
    evaluate(data, constant(data))
    first = np.union1d(data.rows(TRAIN), data.rows(VALIDATION))
    np.testing.assert_array_equal(asked[0][0], first)
    assert asked[0][1] is None
    folds = data.videos.fold.to_numpy(int)
    assert len(asked) == 4
    for fold, (known, own) in enumerate(asked[1:]):
        np.testing.assert_array_equal(known, np.flatnonzero(folds != fold))
        assert own is not None
        np.testing.assert_array_equal(own, first[folds[first] == fold])


def test_what_knows_nothing_is_at_one_half_and_says_so(data: Dataset) -> None:
    found = by_key(evaluate(data, constant(data)))
    for split in BARS:
        assert found[split, "all", "model", "auc"].value == 0.5
        assert found[split, "all", "model", "ece"].value == 0.0
        assert found[split, "all", "model", "abstained"].value == 1.0
        assert found[split, "all", "model", "accuracy_decided"].value is None
        assert found[split, "all", "model", "spearman"].value == 0.0
    for name in ("age", "length"):
        assert found[FUTURE, "all", name, "auc"].value == pytest.approx(0.5, abs=0.06), "views are corrected for age"


def test_a_model_that_claims_too_much_is_told_so(data: Dataset) -> None:
    scores = target(data) + 2 * np.random.default_rng(0).standard_normal(len(data.videos))
    fair = by_key(evaluate(data, constant(data, new=scores, slope=0.3)))
    loud = by_key(evaluate(data, constant(data, new=scores, slope=30.0)))
    error, louder = (f[NEW_CHANNELS, "all", "model", "ece"].value for f in (fair, loud))
    assert error is not None
    assert louder is not None
    assert error < 0.1 < louder
    assert fair[NEW_CHANNELS, "all", "model", "auc"] == loud[NEW_CHANNELS, "all", "model", "auc"]


def test_chances_settled_on_the_validation_part_come_true_later_and_the_band_is_as_wide_as_promised(
    plant: Plant,
) -> None:
    data = plant(channels=20, videos=100, noise=1.0)
    scores = 10 * data.images[:, 0].astype(np.float64)
    settled = data.pairs[data.pairs.part == VALIDATION]
    gaps = scores[settled.winner] - scores[settled.loser]
    slope = fit_slope(gaps)
    found = evaluate(data, constant(data, future=scores, slope_adapted=slope))
    error, abstained, right = (figure(found, FUTURE, metric=m) for m in ("ece", "abstained", "accuracy_decided"))
    overall = figure(found, FUTURE)
    assert error.value is not None
    assert error.value <= 0.05
    assert abstained.value == pytest.approx(too_close_share(gaps, slope), abs=0.05)
    assert 0.1 < too_close_share(gaps, slope) < 0.9
    assert right.value is not None
    assert overall.value is not None
    assert right.value > overall.value + 0.02, "it abstains where it would be wrong more often"
    assert right.pairs == round(overall.pairs * (1 - abstained.value))


def test_true_click_through_rates_are_compared_with_where_they_are_known(data: Dataset) -> None:
    rates = np.where(data.videos.channel_id == "c0", target(data), np.nan)
    rated = replace(data, videos=data.videos.assign(click_through_rate=rates))
    truth = target(data)
    found = by_key(evaluate(rated, constant(rated, future=truth, new=-truth)))
    future, new = (found[split, "all", "model", "ctr_correlation"] for split in (FUTURE, NEW_CHANNELS))
    assert (future.value, future.channels, future.low) == (pytest.approx(1.0), 1, None)
    assert new.value == pytest.approx(-1.0)


def test_a_slice_without_pairs_has_no_figure(plant: Plant) -> None:
    data = plant(channels=3, videos=40, target=np.random.default_rng(0).normal(0, 1e-3, 120))
    empty = [e for e in evaluate(data, constant(data)) if e.slice == "2x"]
    assert empty
    assert all((e.pairs, e.channels, e.value, e.low) == (0, 0, None, None) for e in empty)


def test_a_lab_of_one_channel_is_judged_on_what_it_has(plant: Plant) -> None:
    """There is no other channel to learn from, so nobody but the model can be asked about channels never seen."""
    data = plant(channels=1, videos=60)
    found = by_key(evaluate(data, constant(data, future=target(data))))
    assert found[FUTURE, "all", "model", "auc"].value == 1.0
    assert {e.scorer for e in found.values() if e.split == NEW_CHANNELS} == {"model"}
    assert {e.scorer for e in found.values() if e.split == ADAPTED} == {"model", "global"}


def test_any_scores_can_be_judged_on_the_same_pairs(data: Dataset, found: Found) -> None:
    assert {
        (e.slice, e.scorer, e.value, e.pairs) for e in evaluate_scores(data.pairs, target(data), FUTURE, "planted")
    } == {(slice_, "planted", 1.0, found[FUTURE, slice_, "model", "auc"].pairs) for slice_ in ("all", "2x")}


def test_a_figure_is_found_by_its_name_and_its_absence_is_an_error(found: Found) -> None:
    assert figure(found.values(), FUTURE, "2x") is found[FUTURE, "2x", "model", "auc"]
    assert figure(found.values(), FUTURE, metric="ece") is found[FUTURE, "all", "model", "ece"]
    with pytest.raises(KeyError, match="no f1 of the model on all of future"):
        figure(found.values(), FUTURE, metric="f1")


def test_an_evaluation_survives_its_file_and_one_from_before_there_were_several_metrics_is_read(found: Found) -> None:
    for evaluation in found.values():
        assert Evaluation.of(json.loads(json.dumps(asdict(evaluation), allow_nan=False))) == evaluation
    old = {"split": FUTURE, "slice": "all", "scorer": "age", "pairs": 9, "channels": 2}
    read = Evaluation.of({**old, "auc": 0.6, "auc_low": 0.5, "auc_high": 0.7})
    assert read == Evaluation(FUTURE, "all", "age", "auc", 0.6, 0.5, 0.7, 9, 2)


def test_saving_an_evaluation_again_changes_nothing(open_lab: Callable[..., Lab], found: Found) -> None:
    lab = open_lab()
    for _ in range(2):
        save_evaluations(lab, "release", list(found.values()))
    with lab.engine.connect() as connection:
        rows = connection.execute(select(model_evaluations)).mappings().all()
    assert {row["release_id"] for row in rows} == {"release"}
    names = asdict(next(iter(found.values())))
    assert {Evaluation(**{name: row[name] for name in names}) for row in rows} == set(found.values())
