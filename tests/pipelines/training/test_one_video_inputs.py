"""Test which one-video pairs the model and the adapters learn from, and how the inputs for a pair are made."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from thumblab_core.encoders.protocol import unit
from thumblab_core.ranking.architecture import RankerConfig
from thumblab_core.ranking.inputs import AGREEMENT_BLOCK, IMAGE, LENGTH_BLOCK, TITLE, model_inputs
from thumblab_core.ranking.ranker import Ranker
from thumblab_core.ranking.skill import EXPERIMENT
from thumblab_pipelines.dataset.load import Dataset
from thumblab_pipelines.dataset.one_video import OneVideoPairs
from thumblab_pipelines.dataset.splits import TEST, TRAIN
from thumblab_pipelines.trainable_ranker import TrainableRanker
from thumblab_pipelines.training.config import TrainConfig
from thumblab_pipelines.training.corpus import Corpus
from thumblab_pipelines.training.one_video_inputs import OneVideoInputs, compared_pictures, differences
from thumblab_pipelines.training.train import train

PAIRS = 8
WORDS: dict[str, list[str | None]] = {
    "words_a": ["SECRET", None, "", "castles", "x", "y", "z", "SECRET CASTLES"],
    "words_b": [None, "SECRET", "dragon", "", "x", "y", "z", "none of it"],
}
"""The words in the pictures of the pairs. None stands for a picture that was not read."""


@pytest.fixture(scope="module")
def data(plant: Callable[..., Dataset]) -> Dataset:
    """A dataset with eight one-video pairs.

    Pairs 0 to 3 are training pairs of the channel c0, and pair 3 has two titles. Pair 4 is a test pair of c0. Pairs 5
    and 6 are training pairs of c1. Pair 7 is a training pair of c2.
    """
    random = np.random.default_rng(4)
    videos = plant(channels=4, videos=40)
    table = pd.DataFrame(
        {
            "pair_id": [f"experiment {n}: 1-2" for n in range(PAIRS)],
            "channel_id": ["c0"] * 5 + ["c1", "c1", "c2"],
            "video_id": [f"v{n}" for n in range(PAIRS)],
            "source": EXPERIMENT,
            "title_a": "Secret castles",
            "title_b": ["Secret castles"] * 3 + ["Another title"] + ["Secret castles"] * 4,
            "sha256_a": [f"a{n}" for n in range(PAIRS)],
            "sha256_b": [f"b{n}" for n in range(PAIRS)],
            "happened_on": pd.Timestamp("2026-02-01"),
            "gap": np.linspace(-1, 1, PAIRS),
            "variance": np.linspace(0.01, 0.08, PAIRS),
            "decided": True,
            **WORDS,
            "part": [TRAIN] * 4 + [TEST] + [TRAIN] * 3,
            "fold": 0,
        }
    )
    images, titles = (unit(random.standard_normal((2 * PAIRS, size))).reshape(PAIRS, 2, size) for size in (16, 8))
    one_video = OneVideoPairs(table, images.astype(np.float32), titles.astype(np.float32))
    return dataclasses.replace(videos, one_video=one_video)


@pytest.fixture(scope="module")
def model(data: Dataset) -> Ranker:
    made = TrainableRanker(RankerConfig("i", "t", 16, 8))
    made.fit_scale(Corpus.of(data).inputs)
    return made.ranker()


def rows_of(data: Dataset, *channels: str) -> Any:
    return np.flatnonzero(data.videos.channel_id.isin(channels).to_numpy())


def test_each_picture_gets_its_own_vector_title_and_words(data: Dataset, model: Ranker) -> None:
    inputs, layout = OneVideoInputs.of(data.one_video, np.arange(PAIRS)), model.config.layout
    assert len(inputs.first) == len(inputs.second) == PAIRS
    for side, values, words, title in (
        (0, inputs.first, "words_a", "title_a"),
        (1, inputs.second, "words_b", "title_b"),
    ):
        np.testing.assert_array_equal(values[:, layout.columns(IMAGE)], data.one_video.images[:, side])
        np.testing.assert_array_equal(values[:, layout.columns(TITLE)], data.one_video.titles[:, side])
        pairs = data.one_video.pairs
        vectors = data.one_video.images[:, side], data.one_video.titles[:, side]
        # The words in the pictures of a pair are used only if the text reader has read both pictures.
        sides = zip(*WORDS.values(), strict=True)
        shown = [None if None in both else own for both, own in zip(sides, WORDS[words], strict=True)]
        np.testing.assert_array_equal(values, model_inputs(*vectors, pairs[title].tolist(), in_pictures=shown))
        assert not values[:, layout.columns(LENGTH_BLOCK)].any()
    agreement = inputs.first[:, layout.columns(AGREEMENT_BLOCK)]
    assert agreement[[0, 1, 2, 7]].tolist() == [[0, 0, 0], [0, 0, 0], [0, 0, 0], [1, 1, 1]]
    chosen = OneVideoInputs.of(data.one_video, np.array([6]))
    np.testing.assert_array_equal(chosen.first, inputs.first[[6]])


def test_the_model_learns_from_training_pairs_of_its_channels_with_one_title(data: Dataset, model: Ranker) -> None:
    corpus, columns = Corpus.of(data), np.arange(16)
    learnt = differences(corpus, model, rows_of(data, "c0", "c2", "c3"), columns)
    assert learnt is not None
    chosen = [0, 1, 2, 7]
    np.testing.assert_array_equal(learnt.gaps, data.one_video.pairs.gap.to_numpy()[chosen])
    np.testing.assert_array_equal(learnt.variances, data.one_video.pairs.variance.to_numpy()[chosen])
    inputs = OneVideoInputs.of(data.one_video, np.arange(PAIRS))
    expected = (model.standardise(inputs.first) - model.standardise(inputs.second))[chosen][:, columns]
    np.testing.assert_allclose(learnt.picture, expected, atol=1e-6)
    assert differences(corpus, model, rows_of(data, "c3"), columns) is None


def test_the_adapter_of_a_channel_learns_from_all_its_training_pairs(data: Dataset, model: Ranker) -> None:
    compared, inputs = compared_pictures(data, model), OneVideoInputs.of(data.one_video, np.arange(PAIRS))
    pairs = data.one_video.pairs
    scores = [model.predict(side).score for side in (inputs.first, inputs.second)]
    assert set(compared) == {"c0", "c1", "c2"}
    for channel, chosen in (("c0", [0, 1, 2, 3]), ("c1", [5, 6]), ("c2", [7])):
        of_channel = compared[channel]
        np.testing.assert_array_equal(of_channel.gaps, pairs.gap.to_numpy()[chosen])
        np.testing.assert_array_equal(of_channel.variances, pairs.variance.to_numpy()[chosen])
        np.testing.assert_allclose(of_channel.score_gaps, (scores[0] - scores[1])[chosen], atol=1e-6)
        np.testing.assert_allclose(of_channel.first, model.standardise(inputs.first)[chosen], atol=1e-6)


def test_a_dataset_without_training_pairs_gives_nothing_to_learn(data: Dataset, model: Ranker) -> None:
    held_out = data.one_video.pairs.assign(part=TEST)
    of_test = dataclasses.replace(data, one_video=dataclasses.replace(data.one_video, pairs=held_out))
    for other in (of_test, dataclasses.replace(data, one_video=OneVideoPairs.none())):
        assert compared_pictures(other, model) == {}
        assert differences(Corpus.of(other), model, rows_of(other, "c0"), np.arange(16)) is None


@pytest.mark.slow
def test_a_held_out_pair_changes_nothing_in_the_trained_model(data: Dataset) -> None:
    """Change the gap of the test pair. No score may change. Then change the gap of a training pair. The scores must
    change.
    """
    brief, inputs = TrainConfig(epochs=1), OneVideoInputs.of(data.one_video, np.arange(PAIRS))

    def scores(pair: int | None) -> Any:
        pairs = data.one_video.pairs.copy()
        if pair is not None:
            pairs.loc[pair, "gap"] = 5.0
        changed = dataclasses.replace(data, one_video=dataclasses.replace(data.one_video, pairs=pairs))
        ranker = train(changed, brief).ranker
        return ranker.predict_inputs(inputs.first, ranker.adapter("c0")).score

    before = scores(None)
    np.testing.assert_array_equal(scores(4), before)
    assert not np.allclose(scores(0), before, atol=1e-2)
