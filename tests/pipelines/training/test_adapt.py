"""Promises of learning the histories of channels: only what is known, only for who is asked for, each for itself."""

import dataclasses

import numpy as np
import numpy.typing as npt
import pytest

from thumblab_core.ranking.adapters import LEAST_VIDEOS
from thumblab_pipelines.statistics.trend import local_trend
from thumblab_pipelines.training.adaptation import ScoredVideos, above_trend, adapted_scores, fit_adapters

VIDEOS, WIDTH = 40, 8
SIZES = {"a": VIDEOS, "b": VIDEOS, "few": LEAST_VIDEOS - 1}


@dataclasses.dataclass(frozen=True)
class Some:
    """Two channels of opposite taste and one of hardly any videos, in order of time, the last quarter not known."""

    inputs: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    channel: npt.NDArray[np.str_]
    published: npt.NDArray[np.float64]
    target: npt.NDArray[np.float64]
    known: npt.NDArray[np.bool_]


@pytest.fixture
def some() -> Some:
    random = np.random.default_rng(0)
    channel = np.array([name for number in range(VIDEOS) for name, size in SIZES.items() if number < size])
    place = np.array([number for number in range(VIDEOS) for size in SIZES.values() if number < size])
    n = len(channel)
    inputs = (random.standard_normal((n, WIDTH)) / np.sqrt(WIDTH)).astype(np.float32)
    taste = np.where(channel == "a", 1, -1) * 3 * inputs[:, 0]
    level = np.where(channel == "a", 9.0, 14.0)
    target = level + taste + 0.1 * random.standard_normal(n)
    return Some(inputs, np.zeros(n, np.float32), channel, place * 2.0, target, place < 0.75 * VIDEOS)


def learnt(some: Some, only: set[str] | None = None) -> dict[str, object]:
    above = above_trend(some.channel, some.published, some.target, some.known)
    rows = np.flatnonzero(some.known)
    return dict(fit_adapters(ScoredVideos(some.inputs, some.scores, some.channel), above, rows, 0.5, only))


def test_above_trend_is_the_target_minus_the_channels_trend(some: Some) -> None:
    above = above_trend(some.channel, some.published, some.target, some.known)
    np.testing.assert_array_equal(
        above, some.target - local_trend(some.channel, some.published, some.target, some.known)
    )
    for name in ("a", "b"):
        assert abs(above[some.channel == name].mean()) < 0.3, "the level of a channel is not its doing"


def test_each_channel_with_enough_videos_has_an_adapter_of_its_own_videos(some: Some) -> None:
    found = learnt(some)
    assert set(found) == {"a", "b"}
    for name, adapter in found.items():
        mine = some.inputs[(some.channel == name) & some.known]
        np.testing.assert_array_equal(adapter.history, mine.astype(np.float16))


def test_an_adapter_finds_its_channels_taste_which_later_videos_confirm(some: Some) -> None:
    said = adapted_scores(ScoredVideos(some.inputs, some.scores, some.channel), learnt(some))
    for name in ("a", "b"):
        later = (some.channel == name) & ~some.known
        assert np.corrcoef(said[later], some.target[later])[0, 1] > 0.7


def test_a_channel_without_an_adapter_keeps_the_models_score(some: Some) -> None:
    scores = np.random.default_rng(1).standard_normal(len(some.scores)).astype(np.float32)
    said = adapted_scores(ScoredVideos(some.inputs, scores, some.channel), learnt(some, {"a"}))
    others = some.channel != "a"
    np.testing.assert_array_equal(said[others], scores[others])
    assert (said[~others] != scores[~others]).all()


def test_fitting_some_channels_gives_the_adapters_that_fitting_all_gives(some: Some) -> None:
    everyone, one = learnt(some), learnt(some, {"b", "few", "stranger"})
    assert set(one) == {"b"}
    np.testing.assert_array_equal(one["b"].weights, everyone["b"].weights)
    assert learnt(some, set()) == {}


def test_only_known_videos_influence_an_adapter(some: Some) -> None:
    """Turning the views of all other videos around changes no weight."""
    later = ~some.known
    turned = dataclasses.replace(some, target=np.where(later, -3 * some.target, some.target))
    one, other = learnt(some), learnt(turned)
    for name in ("a", "b"):
        np.testing.assert_array_equal(one[name].weights, other[name].weights)
        np.testing.assert_array_equal(one[name].history, other[name].history)
    first = np.flatnonzero(some.known)[0]
    heard = dataclasses.replace(some, target=np.where(np.arange(len(later)) == first, 99.0, some.target))
    assert not np.array_equal(learnt(heard)[str(some.channel[first])].weights, one[str(some.channel[first])].weights)


def test_a_channel_does_not_influence_the_adapter_of_another(some: Some) -> None:
    turned = dataclasses.replace(some, target=np.where(some.channel == "b", -some.target, some.target))
    one, other = learnt(some), learnt(turned)
    np.testing.assert_array_equal(one["a"].weights, other["a"].weights)
    assert not np.allclose(one["b"].weights, other["b"].weights)


def test_without_known_videos_there_are_no_adapters(some: Some) -> None:
    assert learnt(dataclasses.replace(some, known=np.zeros(len(some.known), bool))) == {}
