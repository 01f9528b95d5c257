"""Promises of the model's files and of what turns its scores into answers."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from thumblab_core.encoders.protocol import unit
from thumblab_core.errors import LabError
from thumblab_core.ranker import Calibration, Ranker, RankerConfig, TrainedRanker
from thumblab_core.releases import Release, ReleaseStore

CONFIG = RankerConfig("images-1", "titles-1", 12, 6, hidden=32)
RANDOM = np.random.default_rng(0)
IMAGES, TITLES = unit(RANDOM.standard_normal((9, 12))), unit(RANDOM.standard_normal((9, 6)))


@pytest.fixture
def trained() -> TrainedRanker:
    torch.manual_seed(1)
    model = Ranker(CONFIG)
    model.fit_scale(torch.randn(50, 18))
    model.train()
    model(torch.randn(40, 18))  # moves the running means of the batch norms
    return TrainedRanker(model, Calibration(2.5, {"tech": list(np.linspace(-1, 1, 101))}), {"seed": 1})


def published(root: Path, trained: TrainedRanker) -> Release:
    return ReleaseStore(root).publish("model", "all", trained.save, {})


def test_a_saved_model_predicts_what_it_predicted(tmp_path: Path, trained: TrainedRanker) -> None:
    loaded = TrainedRanker.load(published(tmp_path, trained))
    before, after = trained.model.predict(IMAGES, TITLES), loaded.model.predict(IMAGES, TITLES)
    np.testing.assert_array_equal(before.score, after.score)
    np.testing.assert_array_equal(before.engagement, after.engagement)
    np.testing.assert_array_equal(before.sub_scores, after.sub_scores)
    assert loaded.calibration == trained.calibration
    assert (loaded.training, loaded.model.config) == ({"seed": 1}, CONFIG)


def test_nothing_of_a_model_is_a_pickle(tmp_path: Path, trained: TrainedRanker) -> None:
    release = published(tmp_path, trained)
    assert sorted(release.files) == ["calibration.json", "config.json", "model.safetensors"]


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "calibration.json"])
def test_a_damaged_file_is_refused(tmp_path: Path, trained: TrainedRanker, name: str) -> None:
    release = published(tmp_path, trained)
    data = bytearray((release.path / name).read_bytes())
    data[len(data) // 2] ^= 1
    (release.path / name).write_bytes(data)
    with pytest.raises(LabError, match="checksum"):
        TrainedRanker.load(release)


@pytest.mark.parametrize("keep", [0, 4, 100, 5_000])
def test_cut_weights_are_an_error_of_the_lab_also_where_no_manifest_guards_them(
    tmp_path: Path, trained: TrainedRanker, keep: int
) -> None:
    trained.save(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:keep])
    with pytest.raises(LabError, match="weights are not of this architecture"):
        TrainedRanker.load_files(tmp_path)


def test_weights_of_another_architecture_are_refused(tmp_path: Path, trained: TrainedRanker) -> None:
    trained.save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["architecture"]["image_dimension"] = 13
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(LabError, match="not of this architecture"):
        TrainedRanker.load_files(tmp_path)


def test_predictions_are_in_range_and_do_not_depend_on_the_company(trained: TrainedRanker) -> None:
    together = trained.model.predict(IMAGES, TITLES)
    assert together.sub_scores.shape == (9, 6)
    assert ((together.engagement >= 0) & (together.engagement <= 1)).all()
    assert ((together.sub_scores >= 0) & (together.sub_scores <= 1)).all()
    for row in range(9):
        alone = trained.model.predict(IMAGES[row : row + 1], TITLES[row : row + 1])
        np.testing.assert_allclose(alone.score, together.score[row : row + 1], atol=1e-5)
        np.testing.assert_allclose(alone.engagement, together.engagement[row : row + 1], atol=1e-5)


def test_predicting_right_after_a_training_step_is_deterministic(trained: TrainedRanker) -> None:
    trained.model.train()
    first = trained.model.predict(IMAGES, TITLES).score
    trained.model.train()
    np.testing.assert_array_equal(first, trained.model.predict(IMAGES, TITLES).score)


finite = st.floats(-50, 50)


@given(st.lists(finite, min_size=1, max_size=12), st.floats(1e-6, 20))
def test_win_probabilities_sum_to_one_and_follow_the_scores(scores: list[float], slope: float) -> None:
    chances = Calibration(slope, {}).win_probabilities(scores)
    assert chances.sum() == pytest.approx(1)
    assert np.isfinite(chances).all()
    assert (np.diff(chances[np.argsort(scores, kind="stable")]) >= -1e-12).all()


@given(finite, finite, st.floats(0.01, 5))
def test_of_two_the_chance_is_the_sigmoid_of_the_calibrated_difference(a: float, b: float, slope: float) -> None:
    first, second = Calibration(slope, {}).win_probabilities([a, b])
    assert first == pytest.approx(1 / (1 + np.exp(np.clip(-slope * (a - b), -700, 700))), abs=1e-9)
    assert first + second == pytest.approx(1)


@given(st.lists(finite, min_size=3, max_size=6), st.floats(0.01, 2))
def test_a_third_thumbnail_does_not_change_the_odds_of_the_first_two(scores: list[float], slope: float) -> None:
    calibration = Calibration(slope, {})
    two, all_of_them = calibration.win_probabilities(scores[:2]), calibration.win_probabilities(scores)
    assert all_of_them[0] * two[1] == pytest.approx(all_of_them[1] * two[0], abs=1e-9)


def test_no_score_is_too_large_for_a_probability() -> None:
    assert Calibration(10, {}).win_probabilities([1e6, -1e6, 0]).tolist() == [1, 0, 0]


def test_a_score_stands_where_the_library_of_its_niche_puts_it() -> None:
    calibration = Calibration(1, {"tech": list(np.linspace(-1, 1, 101)), "news": list(np.linspace(0, 10, 101))})
    assert calibration.percentile(0, "tech") == pytest.approx(50)
    assert calibration.percentile(0.5, "tech") == pytest.approx(75)
    assert calibration.percentile(0.5, "news") == pytest.approx(5)
    assert calibration.percentile(-9, "tech") == 0
    assert calibration.percentile(9, "tech") == 100


def test_a_niche_that_was_not_there_at_training_has_no_percentile() -> None:
    assert Calibration(1, {"tech": [0.0] * 101}).percentile(0, "beauty") is None
