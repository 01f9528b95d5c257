"""Test the inputs of the ranking model.

A row of inputs consists of blocks, such as the vector of the picture and the vector of the title. One block, the
agreement, counts the words that the picture and the title have in common. Older versions of the inputs lack some
blocks.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from thumblab_core.encoders.protocol import unit
from thumblab_core.ranking.adapters import Adapters, fit_adapter
from thumblab_core.ranking.agreement import AGREEMENT, agreement
from thumblab_core.ranking.architecture import RankerConfig
from thumblab_core.ranking.inputs import (
    AGREEMENT_BLOCK,
    FACTS_BLOCK,
    IMAGE,
    LENGTH,
    LENGTH_BLOCK,
    TITLE,
    VERSION,
    WORDS_BLOCK,
    InputLayout,
    length_columns,
    model_inputs,
)
from thumblab_core.ranking.title_facts import FACTS, WORDS, title_facts, title_words
from thumblab_core.ranking.trained_ranker import Calibration, TrainedRanker
from thumblab_pipelines.trainable_ranker import TrainableRanker

LAYOUT = InputLayout(12, 6)
TITLES = [f"How I built {n} tiny houses, part {n % 4}! 🏠" for n in range(9)]
SHOWN = ["TINY houses", "castle", "", None, "part 1", "tiny", None, "", "HOW I BUILT"]
SECONDS = np.array([60.0, 600.0, 3_600.0, np.nan, 0.0, 120.0, 900.0, 1_200.0, 1e9])


def vectors(count: int = 9, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return random unit vectors for `count` pictures [count, 12] and for their titles [count, 6]."""
    random = np.random.default_rng(seed)
    return unit(random.standard_normal((count, 12))), unit(random.standard_normal((count, 6)))


def test_a_picture_that_repeats_its_title_agrees_with_it_in_any_case_of_letters() -> None:
    values = agreement(["TINY Houses", "tiny castle", "Straße"], ["tiny houses", "Tiny Houses Built", "STRASSE"])
    np.testing.assert_allclose(values, [[1, 1, 1], [1, 1 / 2, 1 / 3], [1, 1, 1]])


def test_forms_of_the_same_letter_are_one_word() -> None:
    """Check that full-width letters equal usual letters, and that é as two characters equals é as one character."""
    np.testing.assert_array_equal(agreement(["ＴＩＮＹ", "cafe\u0301"], ["tiny", "café"])[:, 1:], np.ones((2, 2)))


@pytest.mark.parametrize("shown", [None, "", "   ", "?! ..."])
def test_a_picture_that_was_not_read_or_has_no_words_has_no_agreement(shown: str | None) -> None:
    np.testing.assert_array_equal(agreement([shown], ["tiny houses"]), np.zeros((1, AGREEMENT)))


def test_a_title_without_words_agrees_with_no_picture() -> None:
    np.testing.assert_array_equal(agreement(["castle"], ["🔥🔥"]), [[1, 0, 0]])


def test_words_of_pictures_and_titles_must_be_of_equal_number() -> None:
    with pytest.raises(ValueError, match="longer"):
        agreement(["castle"], ["one", "two"])


def test_a_word_that_is_written_twice_counts_once() -> None:
    np.testing.assert_allclose(agreement(["big BIG castle"], ["castle castle"]), [[1, 1 / 2, 1]])


@pytest.mark.parametrize("seconds", [np.nan, 0.0, -5.0, np.inf])
def test_an_unknown_length_gives_zeros(seconds: float) -> None:
    np.testing.assert_array_equal(length_columns(np.array([seconds])), np.zeros((1, LENGTH)))


def test_longer_videos_get_larger_values_up_to_a_bound() -> None:
    first, second = length_columns(np.array([1.0, 60.0, 600.0, 6_000.0, 1e9])).T
    assert (np.diff(first) >= 0).all()
    assert first[2] == 0
    assert first[-1] == -first[0] == 3
    assert second.argmin() == 2, "the second column must be lowest for a medium length"


def test_the_blocks_follow_each_other_and_cover_all_columns() -> None:
    images, titles = vectors()
    inputs = model_inputs(images, titles, TITLES, in_pictures=SHOWN, seconds=SECONDS)
    assert (inputs.shape, inputs.dtype) == ((9, LAYOUT.total), np.float32)
    expected = {
        IMAGE: images,
        TITLE: titles,
        FACTS_BLOCK: title_facts(TITLES),
        AGREEMENT_BLOCK: agreement(SHOWN, TITLES),
        WORDS_BLOCK: title_words(TITLES),
        LENGTH_BLOCK: length_columns(SECONDS),
    }
    assert list(LAYOUT.sizes) == list(expected)
    for block, values in expected.items():
        np.testing.assert_array_equal(inputs[:, LAYOUT.columns(block)], values.astype(np.float32))
    assert LAYOUT.dense == 12 + 6 + FACTS + AGREEMENT
    with pytest.raises(KeyError):
        LAYOUT.columns("faces")


def test_unread_pictures_and_unknown_lengths_may_be_left_out() -> None:
    images, titles = vectors()
    given = model_inputs(images, titles, TITLES, in_pictures=[None] * 9, seconds=np.full(9, np.nan))
    np.testing.assert_array_equal(model_inputs(images, titles, TITLES), given)


@pytest.mark.parametrize("version", [1, 2])
def test_models_of_old_versions_get_the_same_bytes_as_before(version: int) -> None:
    """Make inputs of versions 1 and 2, without the blocks `agreement` and `length`, which version 3 added.

    Inputs of versions 1 and 2 consist of four blocks, in this order: the picture's vector, the title's vector, the
    title facts of the version, and the words of the title. The words in pictures and the lengths of videos must not
    change these inputs.
    """
    images, titles = vectors()
    parts = images, titles, title_facts(TITLES, version), title_words(TITLES)
    before = np.concatenate(parts, axis=1, dtype=np.float32)
    assert model_inputs(images, titles, TITLES, version).tobytes() == before.tobytes()
    assert model_inputs(images, titles, TITLES, version, SHOWN, SECONDS).tobytes() == before.tobytes()
    layout = InputLayout(12, 6, version)
    assert (layout.total, layout.dense) == (12 + 6 + FACTS + WORDS, 12 + 6 + FACTS)
    assert layout.sizes[AGREEMENT_BLOCK] == layout.sizes[LENGTH_BLOCK] == 0


@pytest.mark.parametrize("stored", [{}, {"title_facts": 2}, {"title_facts": 1}, {"version": 2}])
def test_a_release_of_an_old_version_is_loaded_and_scores_as_before(tmp_path: Path, stored: dict[str, int]) -> None:
    """Load model releases whose configuration was written by older programs.

    Some of these releases store the version of the inputs as `title_facts`, and not as `version`. The oldest releases
    store no version, and have inputs of version 1.
    """
    version = next(iter(stored.values()), 1)
    torch.manual_seed(1)
    trainable = TrainableRanker(RankerConfig("images-1", "titles-1", 12, 6, hidden=32, version=version))
    images, titles = vectors(9)
    inputs = model_inputs(images, titles, TITLES, version)
    trainable.fit_scale(inputs)
    model = trainable.ranker()
    score = model.predict(inputs).score
    adapter = fit_adapter(model.standardise(inputs), score, np.linspace(-1, 1, 9), 0.3)
    assert adapter is not None
    before = TrainedRanker(model, Calibration(2.5, {}, 3.5), {}, Adapters({"UC-known": adapter}))
    before.save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    del config["architecture"]["version"]
    config["architecture"] |= stored
    (tmp_path / "config.json").write_text(json.dumps(config))
    loaded = TrainedRanker.load_files(tmp_path)
    assert loaded.model.config.version == version < VERSION
    np.testing.assert_array_equal(loaded.predict(images, titles, TITLES, None, SHOWN).score, score)
    adapted = loaded.predict(images, titles, TITLES, loaded.adapter("UC-known"), SHOWN).score
    np.testing.assert_array_equal(adapted, before.predict_inputs(inputs, adapter).score)
