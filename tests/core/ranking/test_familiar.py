"""Promises of telling a picture that is unlike anything a model has learnt."""

from pathlib import Path

import numpy as np
import pytest

from thumblab_core.encoders.protocol import Vectors, unit
from thumblab_core.errors import LabError
from thumblab_core.ranking.familiarity import FILE, LEAST, MOST, Familiarity


def pictures(count: int, seed: int = 0, centre: int = 0) -> Vectors:
    """Around one direction of 64."""
    random = np.random.default_rng(seed)
    ground = np.zeros(64)
    ground[centre] = 9
    return unit(ground + random.standard_normal((count, 64)))


def channels(count: int, of: int = 10) -> np.ndarray:
    return np.array([f"c{n % of}" for n in range(count)])


def of(count: int, **more: int) -> Familiarity:
    found = Familiarity.of(pictures(count), channels(count, **more))
    assert found is not None
    return found


def test_pictures_of_the_same_kind_are_familiar_and_of_another_kind_are_not() -> None:
    known = of(300)
    assert (known.nearest(pictures(200, seed=1)) >= known.least).mean() > 0.95
    assert (known.nearest(pictures(200, seed=1, centre=5)) < known.least).mean() > 0.99


def test_a_channel_that_looks_like_itself_only_does_not_make_other_channels_strange() -> None:
    """Each channel repeats one picture: to itself it is near, and how near is nothing that a new channel could reach."""
    series = np.repeat(pictures(20), 10, axis=0)
    known = Familiarity.of(series, np.repeat(channels(20, 20), 10))
    assert known is not None
    assert (known.nearest(pictures(100, seed=1)) >= known.least).mean() > 0.9


def test_of_one_channel_alone_its_other_videos_are_asked() -> None:
    assert 0 < of(100, of=1).least < 1


def test_of_too_few_pictures_nothing_is_said() -> None:
    assert Familiarity.of(pictures(LEAST - 1), channels(LEAST - 1)) is None
    assert len(of(LEAST).pictures) == LEAST


def test_of_many_pictures_some_are_kept_and_always_the_same() -> None:
    one, other = of(MOST + 500), of(MOST + 500)
    assert len(one.pictures) == MOST
    np.testing.assert_array_equal(one.pictures, other.pictures)


def test_it_is_read_back_as_it_was_saved_and_damage_is_an_error_of_the_lab(tmp_path: Path) -> None:
    known = of(80)
    assert Familiarity.load(tmp_path, 64) is None
    known.save(tmp_path)
    loaded = Familiarity.load(tmp_path, 64)
    assert loaded is not None
    np.testing.assert_array_equal(loaded.pictures, known.pictures)
    assert loaded.least == pytest.approx(known.least)
    with pytest.raises(LabError, match="does not fit this model's pictures"):
        Familiarity.load(tmp_path, 32)
    (tmp_path / FILE).write_bytes(b"nothing")
    with pytest.raises(LabError, match="cannot be read"):
        Familiarity.load(tmp_path, 64)
