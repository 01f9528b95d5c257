"""Test how the lab recognises pictures that are unlike every training picture of a model."""

from pathlib import Path

import numpy as np
import pytest

from thumblab_core.encoders.protocol import Vectors, unit
from thumblab_core.errors import LabError
from thumblab_core.ranking.familiarity import FILE, LEAST, MOST, Familiarity


def pictures(count: int, seed: int = 0, centre: int = 0) -> Vectors:
    """Return `count` random unit vectors [count, 64]. All vectors point roughly along the axis number `centre`."""
    random = np.random.default_rng(seed)
    ground = np.zeros(64)
    ground[centre] = 9
    return unit(ground + random.standard_normal((count, 64)))


def channels(count: int, distinct: int = 10) -> np.ndarray:
    return np.array([f"c{n % distinct}" for n in range(count)])


def fitted(count: int, **more: int) -> Familiarity:
    familiarity = Familiarity.of(pictures(count), channels(count, **more))
    assert familiarity is not None
    return familiarity


def test_pictures_of_the_same_kind_are_familiar_and_others_are_not() -> None:
    known = fitted(300)
    assert (known.nearest(pictures(200, seed=1)) >= known.threshold).mean() > 0.95
    assert (known.nearest(pictures(200, seed=1, centre=5)) < known.threshold).mean() > 0.99


def test_channels_that_repeat_one_picture_do_not_make_new_channels_unfamiliar() -> None:
    """Check that the threshold does not depend on how near the pictures of one channel are to each other.

    In this test, each channel repeats one picture, so the cosines between its pictures are 1. No picture of a new
    channel has such a high cosine with a known picture. If the threshold depended on cosines within a channel, each new
    channel would be unfamiliar.
    """
    series = np.repeat(pictures(20), 10, axis=0)
    known = Familiarity.of(series, np.repeat(channels(20, 20), 10))
    assert known is not None
    assert (known.nearest(pictures(100, seed=1)) >= known.threshold).mean() > 0.9


def test_a_single_channel_is_compared_with_its_own_other_pictures() -> None:
    assert 0 < fitted(100, distinct=1).threshold < 1


def test_too_few_pictures_give_no_threshold() -> None:
    assert Familiarity.of(pictures(LEAST - 1), channels(LEAST - 1)) is None
    assert len(fitted(LEAST).pictures) == LEAST


def test_the_same_random_selection_of_many_pictures_is_stored_each_time() -> None:
    first, second = fitted(MOST + 500), fitted(MOST + 500)
    assert len(first.pictures) == MOST
    np.testing.assert_array_equal(first.pictures, second.pictures)


def test_a_saved_familiarity_loads_unchanged_and_a_damaged_file_is_a_lab_error(tmp_path: Path) -> None:
    known = fitted(80)
    assert Familiarity.load(tmp_path, 64) is None
    known.save(tmp_path)
    loaded = Familiarity.load(tmp_path, 64)
    assert loaded is not None
    np.testing.assert_array_equal(loaded.pictures, known.pictures)
    assert loaded.threshold == pytest.approx(known.threshold)
    with pytest.raises(LabError, match="do not have the 32 dimensions of this model"):
        Familiarity.load(tmp_path, 32)
    (tmp_path / FILE).write_bytes(b"nothing")
    with pytest.raises(LabError, match="cannot be read"):
        Familiarity.load(tmp_path, 64)
