"""Test the ranking model, its files and its calibration.

The score of the model is the sum of a linear model's output and a neural network's output.
"""

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from thumblab_core.encoders.protocol import unit
from thumblab_core.errors import LabError
from thumblab_core.ranking.adapters import Adapter, Adapters, fit_adapter
from thumblab_core.ranking.agreement import AGREEMENT
from thumblab_core.ranking.architecture import FACTS_LENGTH, RankerConfig
from thumblab_core.ranking.inputs import LENGTH_BLOCK, WORDS_BLOCK, model_inputs
from thumblab_core.ranking.packed_rows import PackedRows
from thumblab_core.ranking.ranker import Ranker
from thumblab_core.ranking.title_facts import FACTS
from thumblab_core.ranking.trained_ranker import Calibration, TrainedRanker
from thumblab_core.releases.release import Release
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_pipelines.trainable_ranker import TrainableRanker

CONFIG = RankerConfig("images-1", "titles-1", 12, 6, hidden=32)
TITLES = [f"How I built {n} tiny houses, part {n % 4}!" for n in range(50)]
FILES = ["adapters.safetensors", "calibration.json", "config.json", "model.safetensors"]


def random_inputs(count: int, seed: int = 0) -> npt.NDArray[np.float32]:
    """Return the model's inputs for `count` random videos."""
    random = np.random.default_rng(seed)
    return model_inputs(
        unit(random.standard_normal((count, 12))), unit(random.standard_normal((count, 6))), TITLES[:count]
    )


INPUTS = random_inputs(9)
IMAGES, VECTORS = INPUTS[:, :12], INPUTS[:, 12:18]


def untrained(seed: int = 1) -> TrainableRanker:
    torch.manual_seed(seed)
    model = TrainableRanker(CONFIG)
    model.fit_scale(random_inputs(50, 7))
    return model


@pytest.fixture
def trained() -> TrainedRanker:
    model = untrained()
    model.train()
    # In training mode, a prediction changes the means that batch normalisation stores. The means that this model stores
    # therefore differ from the means of a new model.
    model(torch.from_numpy(random_inputs(40, 8)))
    model.unit.fill_(0.5)
    ranker = model.ranker()
    compared = ranker.standardise(INPUTS)
    adapter = fit_adapter(compared, ranker.predict(INPUTS).score, np.linspace(-1, 1, 9), 0.3)
    assert adapter is not None
    calibration = Calibration(2.5, {"tech": list(np.linspace(-1, 1, 101))}, 3.5, (0.25, 0.125))
    return TrainedRanker(ranker, calibration, {"seed": 1}, Adapters({"UC-known": adapter}))


def published(root: Path, trained: TrainedRanker) -> Release:
    return ReleaseStore(root).publish("model", "all", trained.save, {})


def test_pictures_titles_and_facts_are_standardised_to_lengths_of_their_own() -> None:
    """Check that `standardise` gives each kind of input a fixed mean squared norm, whatever its scale was before.

    This mean is 1 for the vectors of pictures and for the vectors of titles. The mean is also 1 for the agreement,
    which counts the words that picture and title have in common. The mean is less than 1 for the title facts.
    `standardise` does not change the columns of hashed words and of the length of the video.
    """
    random = np.random.default_rng(0)
    inputs = random_inputs(50, 7)
    dense = CONFIG.dense
    inputs[:, :dense] = 3 + 5 * random.standard_normal((50, dense)) * random.uniform(0.1, 10, dense)
    model = TrainableRanker(CONFIG)
    model.fit_scale(inputs)
    standardised = model.ranker().standardise(inputs)
    np.testing.assert_allclose(standardised[:, :dense].mean(axis=0), 0, atol=1e-5)
    blocks = np.split(standardised, np.cumsum([12, 6, FACTS, AGREEMENT]), axis=1)
    lengths = [float((block**2).sum(axis=1).mean()) for block in blocks[:4]]
    assert lengths == pytest.approx([1, 1, FACTS_LENGTH**2, 1], rel=1e-3)
    assert 0 < FACTS_LENGTH < 1
    np.testing.assert_array_equal(blocks[4], inputs[:, dense:])


def test_an_input_that_is_constant_in_training_stays_finite() -> None:
    inputs = random_inputs(50, 7)
    inputs[:, 3] = 0.25
    model = TrainableRanker(CONFIG)
    model.fit_scale(inputs)
    assert np.isfinite(model.ranker().standardise(inputs)).all()


@pytest.mark.parametrize("usual", [0.03, 0.5])
def test_an_untrained_network_scores_exactly_as_its_linear_model(usual: float) -> None:
    line = np.random.default_rng(5).standard_normal(CONFIG.inputs).astype(np.float32)
    model = untrained()
    standardised = model.ranker().standardise(INPUTS)
    assert not np.allclose(model.ranker().predict(INPUTS).score, standardised @ line, atol=0.1)
    model.start(line, usual)
    predicted = model.ranker().predict(INPUTS)
    np.testing.assert_allclose(predicted.score, standardised @ line, atol=2e-5)
    np.testing.assert_allclose(predicted.engagement, usual, atol=0.1)


def test_training_does_not_change_the_linear_model() -> None:
    model = untrained()
    model.start(np.random.default_rng(5).standard_normal(CONFIG.inputs).astype(np.float32))
    line, score = model.linear.weight.detach().clone(), model.ranker().predict(INPUTS).score
    optimiser = torch.optim.AdamW(model.parameters(), 1e-2, weight_decay=0.5)
    model.train()
    for _ in range(3):
        optimiser.zero_grad()
        (model(torch.from_numpy(INPUTS))[0] ** 2).sum().backward()
        optimiser.step()
    assert torch.equal(model.linear.weight, line)
    assert not np.allclose(model.ranker().predict(INPUTS).score, score, atol=1e-3)


@pytest.mark.parametrize("block", [WORDS_BLOCK, LENGTH_BLOCK])
def test_words_and_lengths_change_predictions_only_through_the_linear_model(trained: TrainedRanker, block: str) -> None:
    columns, random = CONFIG.layout.columns(block), np.random.default_rng(2)
    without, given = INPUTS.copy(), INPUTS.copy()
    without[:, columns] = 0
    given[:, columns] = random.standard_normal(given[:, columns].shape)
    after, before = trained.model.predict(given), trained.model.predict(without)
    np.testing.assert_array_equal(after.engagement, before.engagement)
    weights = trained.model.weights["linear.weight"][0, columns] * trained.model.weights["gain"][columns]
    expected = 0.5 * given[:, columns] @ weights
    np.testing.assert_allclose(after.score - before.score, expected, atol=2e-4)


def test_the_weight_unit_scales_only_the_score(trained: TrainedRanker) -> None:
    before = trained.model.predict(INPUTS)
    scaled = Ranker(CONFIG, trained.model.weights | {"unit": np.array(1.5, np.float32)})
    after = scaled.predict(INPUTS)
    np.testing.assert_allclose(after.score, 3 * before.score, rtol=1e-5)
    np.testing.assert_array_equal(after.engagement, before.engagement)


def test_a_saved_model_predicts_as_before(tmp_path: Path, trained: TrainedRanker) -> None:
    loaded = TrainedRanker.load(published(tmp_path, trained))
    before, after = (model.predict(IMAGES, VECTORS, TITLES[:9]) for model in (trained, loaded))
    np.testing.assert_array_equal(before.score, after.score)
    np.testing.assert_array_equal(before.engagement, after.engagement)
    assert loaded.calibration == trained.calibration
    assert (loaded.training, loaded.model.config) == ({"seed": 1}, CONFIG)


def test_a_saved_model_adapts_as_before(tmp_path: Path, trained: TrainedRanker) -> None:
    loaded = TrainedRanker.load(published(tmp_path, trained))
    both = [model.predict(IMAGES, VECTORS, TITLES[:9], model.adapter("UC-known")) for model in (trained, loaded)]
    np.testing.assert_array_equal(both[0].score, both[1].score)
    assert not np.allclose(both[1].score, loaded.predict(IMAGES, VECTORS, TITLES[:9]).score, atol=1e-2)
    assert loaded.adapter("UC-stranger") is None


def test_an_adapter_changes_only_the_score(trained: TrainedRanker) -> None:
    plain, adapted = (trained.predict_inputs(INPUTS, adapter) for adapter in (None, trained.adapter("UC-known")))
    assert not np.allclose(plain.score, adapted.score, atol=1e-2)
    np.testing.assert_array_equal(plain.engagement, adapted.engagement)


def test_the_files_of_a_model_include_no_pickle(tmp_path: Path, trained: TrainedRanker) -> None:
    release = published(tmp_path, trained)
    assert sorted(release.files) == FILES


def test_a_model_without_adapters_is_saved_and_loaded(tmp_path: Path) -> None:
    without_adapters = TrainedRanker(untrained().ranker(), Calibration(1.0, {}, 1.0), {})
    loaded = TrainedRanker.load(published(tmp_path, without_adapters))
    assert loaded.adapters.channels == frozenset()
    assert loaded.adapter("UC-known") is None


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_refused(tmp_path: Path, trained: TrainedRanker, name: str) -> None:
    release = published(tmp_path, trained)
    data = bytearray((release.path / name).read_bytes())
    data[len(data) // 2] ^= 1
    (release.path / name).write_bytes(data)
    with pytest.raises(LabError, match="checksum"):
        TrainedRanker.load(release)


@pytest.mark.parametrize("keep", [0, 4, 100, 5_000])
def test_truncated_weights_are_a_lab_error_even_without_a_manifest(
    tmp_path: Path, trained: TrainedRanker, keep: int
) -> None:
    trained.save(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:keep])
    with pytest.raises(LabError, match="weights do not fit the architecture"):
        TrainedRanker.load_files(tmp_path)


@pytest.mark.parametrize("keep", [0, 4, 100, 500])
def test_truncated_adapters_are_a_lab_error(tmp_path: Path, trained: TrainedRanker, keep: int) -> None:
    trained.save(tmp_path)
    adapters = tmp_path / "adapters.safetensors"
    adapters.write_bytes(adapters.read_bytes()[:keep])
    with pytest.raises(LabError, match=r"adapters\.safetensors cannot be read"):
        TrainedRanker.load_files(tmp_path)


def test_a_model_without_its_adapters_file_is_refused(tmp_path: Path, trained: TrainedRanker) -> None:
    trained.save(tmp_path)
    (tmp_path / "adapters.safetensors").unlink()
    with pytest.raises(LabError, match=r"adapters\.safetensors cannot be read"):
        TrainedRanker.load_files(tmp_path)


def test_weights_of_another_architecture_are_refused(tmp_path: Path, trained: TrainedRanker) -> None:
    trained.save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["architecture"]["image_dimension"] = 13
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(LabError, match="do not fit the architecture"):
        TrainedRanker.load_files(tmp_path)


@pytest.mark.parametrize(
    ("name", "part", "change"),
    [
        ("calibration.json", None, {"slope_adapted": None}),
        ("config.json", "architecture", {"title_dimension": None}),
        ("config.json", "architecture", {"dropout": 0.2}),
    ],
)
def test_files_of_another_version_are_refused_and_the_error_says_what_to_do(
    tmp_path: Path, trained: TrainedRanker, name: str, part: str | None, change: dict[str, float | None]
) -> None:
    trained.save(tmp_path)
    content = json.loads((tmp_path / name).read_text())
    fields = content if part is None else content[part]
    for key, value in change.items():
        fields[key] = value
        if value is None:
            del fields[key]
    (tmp_path / name).write_text(json.dumps(content))
    with pytest.raises(LabError, match="made by another version of the lab; train again"):
        TrainedRanker.load_files(tmp_path)


def test_predictions_are_in_range_and_do_not_depend_on_the_batch(trained: TrainedRanker) -> None:
    together = trained.model.predict(INPUTS)
    assert ((together.engagement >= 0) & (together.engagement <= 1)).all()
    for adapter in (None, trained.adapter("UC-known")):
        together = trained.predict_inputs(INPUTS, adapter)
        for row in range(9):
            alone = trained.predict_inputs(INPUTS[row : row + 1], adapter)
            np.testing.assert_allclose(alone.score, together.score[row : row + 1], atol=1e-5)
            np.testing.assert_allclose(alone.engagement, together.engagement[row : row + 1], atol=1e-5)


def test_an_adapter_of_another_model_is_refused(trained: TrainedRanker) -> None:
    foreign = Adapter(PackedRows.of(np.zeros((5, 7), np.float32)), np.zeros(5, np.float32), 1.0)
    model = TrainedRanker(trained.model, trained.calibration, {}, Adapters({"UC-foreign": foreign}))
    with pytest.raises(LabError, match="the adapter of channel UC-foreign does not fit this model"):
        model.adapter("UC-foreign")


finite = st.floats(-50, 50)


@given(st.lists(finite, min_size=1, max_size=12), st.floats(1e-6, 20), st.booleans())
def test_win_probabilities_sum_to_one_and_follow_the_scores(scores: list[float], slope: float, adapted: bool) -> None:
    probabilities = Calibration(slope, {}, 2 * slope).win_probabilities(scores, adapted)
    assert probabilities.sum() == pytest.approx(1)
    assert np.isfinite(probabilities).all()
    assert (np.diff(probabilities[np.argsort(scores, kind="stable")]) >= -1e-12).all()


@given(finite, finite, st.floats(0.01, 5), st.floats(0.01, 5), st.booleans())
def test_the_win_probability_of_two_is_the_sigmoid_of_their_scaled_difference(
    a: float, b: float, slope: float, slope_adapted: float, adapted: bool
) -> None:
    calibration = Calibration(slope, {}, slope_adapted)
    first, second = calibration.win_probabilities([a, b], adapted)
    expected_slope = slope_adapted if adapted else slope
    assert calibration.slope_of(adapted) == expected_slope
    assert first == pytest.approx(1 / (1 + np.exp(np.clip(-expected_slope * (a - b), -700, 700))), abs=1e-9)
    assert first + second == pytest.approx(1)


@given(st.lists(finite, min_size=3, max_size=6), st.floats(0.01, 2), st.booleans())
def test_a_third_thumbnail_does_not_change_the_odds_of_the_first_two(
    scores: list[float], slope: float, adapted: bool
) -> None:
    calibration = Calibration(slope, {}, slope / 2)
    two, several = (calibration.win_probabilities(subset, adapted) for subset in (scores[:2], scores))
    assert several[0] * two[1] == pytest.approx(several[1] * two[0], abs=1e-9)


def test_packages_have_the_slope_of_whole_videos_and_pictures_that_of_one_title() -> None:
    calibration = Calibration(4.0, {}, 6.0, one_title=(1.0, 2.0), one_title_from=("videos", "experiments"))
    assert [calibration.slope_of(adapted, "package") for adapted in (False, True)] == [4.0, 6.0]
    assert [calibration.slope_of(adapted) for adapted in (False, True)] == [1.0, 2.0]
    assert [calibration.fitted_to(True, question) for question in ("package", "one_title")] == [
        "packages",
        "experiments",
    ]
    package, picture = (calibration.win_probabilities([1, 0], False, of)[0] for of in ("package", "one_title"))
    assert (package, picture) == pytest.approx((1 / (1 + np.exp(-4)), 1 / (1 + np.exp(-1))))


def test_large_scores_do_not_overflow() -> None:
    assert Calibration(10, {}, 10).win_probabilities([1e6, -1e6, 0]).tolist() == [1, 0, 0]


def test_a_percentile_is_taken_among_the_videos_of_the_niche() -> None:
    calibration = Calibration(1, {"tech": list(np.linspace(-1, 1, 101)), "news": list(np.linspace(0, 10, 101))}, 1)
    assert calibration.percentile(0, "tech") == pytest.approx(50)
    assert calibration.percentile(0.5, "tech") == pytest.approx(75)
    assert calibration.percentile(0.5, "news") == pytest.approx(5)
    assert calibration.percentile(-9, "tech") == 0
    assert calibration.percentile(9, "tech") == 100


def test_a_niche_without_training_videos_has_no_percentile() -> None:
    assert Calibration(1, {"tech": [0.0] * 101}, 1).percentile(0, "beauty") is None


@pytest.mark.parametrize("score", [-1.0, 0.3, 5.0])
def test_a_niche_of_a_single_video_has_no_percentile(score: float) -> None:
    assert Calibration(1, {"news": [0.3] * 101}, 1).percentile(score, "news") is None


def test_scores_alone_equal_the_scores_of_a_prediction_and_the_sum_of_their_parts(trained: TrainedRanker) -> None:
    expected = trained.model.predict(INPUTS).score
    np.testing.assert_array_equal(trained.model.scores(INPUTS), expected)
    np.testing.assert_allclose(sum(trained.model.score_parts(INPUTS)), expected, rtol=1e-5, atol=1e-6)
