"""Tests of fitting channel adapters. A video is known if an adapter may use its views.

Only the requested channels get an adapter. Each adapter is fitted to the known videos of its own channel.
"""

import dataclasses

import numpy as np
import numpy.typing as npt
import pytest

from thumblab_core.ranking.adapters import LEAST_VIDEOS, Adapter
from thumblab_pipelines.statistics.trend import local_trend
from thumblab_pipelines.training.adaptation import ScoredVideos, above_trend, adapted_scores, fit_adapters

VIDEOS, WIDTH = 40, 8
SIZES = {"a": VIDEOS, "b": VIDEOS, "few": LEAST_VIDEOS - 1}


@dataclasses.dataclass(frozen=True)
class Videos:
    """The videos of three channels in order of time. The last 25 % of the videos of the channels `a` and `b` are not
    known.

    The viewers of the channels `a` and `b` have opposite tastes. The channel `few` has too few videos for an adapter.
    """

    scored: ScoredVideos
    published: npt.NDArray[np.float64]
    target: npt.NDArray[np.float64]
    known: npt.NDArray[np.bool_]

    @property
    def channel(self) -> npt.NDArray[np.str_]:
        return self.scored.channel

    def above_trend(self) -> npt.NDArray[np.floating]:
        return above_trend(self.channel, self.published, self.target, self.known)

    def adapters(self, only: set[str] | None = None) -> dict[str, Adapter]:
        """Return the adapters that are fitted to the known videos, for all channels or for the channels in `only`."""
        return fit_adapters(self.scored, self.above_trend(), np.flatnonzero(self.known), 0.5, only)


@pytest.fixture
def videos() -> Videos:
    random = np.random.default_rng(0)
    channel = np.array([name for number in range(VIDEOS) for name, size in SIZES.items() if number < size])
    position = np.array([number for number in range(VIDEOS) for size in SIZES.values() if number < size])
    n = len(channel)
    inputs = (random.standard_normal((n, WIDTH)) / np.sqrt(WIDTH)).astype(np.float32)
    taste = np.where(channel == "a", 1, -1) * 3 * inputs[:, 0]
    level = np.where(channel == "a", 9.0, 14.0)
    target = level + taste + 0.1 * random.standard_normal(n)
    scored = ScoredVideos(inputs, np.zeros(n, np.float32), channel)
    return Videos(scored, position * 2.0, target, position < 0.75 * VIDEOS)


def test_above_trend_is_the_target_minus_the_channels_trend(videos: Videos) -> None:
    above = videos.above_trend()
    trend = local_trend(videos.channel, videos.published, videos.target, videos.known)
    np.testing.assert_array_equal(above, videos.target - trend)
    for name in ("a", "b"):
        assert abs(above[videos.channel == name].mean()) < 0.3, "the level of the channel must be removed"


def test_each_channel_with_enough_videos_has_an_adapter_of_its_own_videos(videos: Videos) -> None:
    adapters = videos.adapters()
    assert set(adapters) == {"a", "b"}
    for name, adapter in adapters.items():
        own = videos.scored.inputs[(videos.channel == name) & videos.known]
        np.testing.assert_array_equal(adapter.history.unpacked(), own.astype(np.float16))


def test_an_adapter_finds_its_channels_taste_which_later_videos_confirm(videos: Videos) -> None:
    adapted = adapted_scores(videos.scored, videos.adapters())
    for name in ("a", "b"):
        later = (videos.channel == name) & ~videos.known
        assert np.corrcoef(adapted[later], videos.target[later])[0, 1] > 0.7


def test_a_channel_without_an_adapter_keeps_the_models_score(videos: Videos) -> None:
    scores = np.random.default_rng(1).standard_normal(len(videos.target)).astype(np.float32)
    adapted = adapted_scores(dataclasses.replace(videos.scored, scores=scores), videos.adapters({"a"}))
    others = videos.channel != "a"
    np.testing.assert_array_equal(adapted[others], scores[others])
    assert (adapted[~others] != scores[~others]).all()


def test_fitting_some_channels_gives_the_adapters_that_fitting_all_gives(videos: Videos) -> None:
    of_all, of_some = videos.adapters(), videos.adapters({"b", "few", "not in the corpus"})
    assert set(of_some) == {"b"}
    np.testing.assert_array_equal(of_some["b"].weights, of_all["b"].weights)
    assert videos.adapters(set()) == {}


def test_only_known_videos_influence_an_adapter(videos: Videos) -> None:
    """Change the views of videos that are not known. No adapter may change.

    Then change the views of a known video. The adapter of its channel must change.
    """
    reversed_later = dataclasses.replace(videos, target=np.where(videos.known, videos.target, -3 * videos.target))
    before, after = videos.adapters(), reversed_later.adapters()
    for name in ("a", "b"):
        np.testing.assert_array_equal(before[name].weights, after[name].weights)
        np.testing.assert_array_equal(before[name].history.unpacked(), after[name].history.unpacked())
    first = np.flatnonzero(videos.known)[0]
    target = videos.target.copy()
    target[first] = 99.0
    name = str(videos.channel[first])
    changed = dataclasses.replace(videos, target=target).adapters()
    assert not np.array_equal(changed[name].weights, before[name].weights)


def test_a_channel_does_not_influence_the_adapter_of_another(videos: Videos) -> None:
    reversed_b = dataclasses.replace(videos, target=np.where(videos.channel == "b", -videos.target, videos.target))
    before, after = videos.adapters(), reversed_b.adapters()
    np.testing.assert_array_equal(before["a"].weights, after["a"].weights)
    assert not np.allclose(before["b"].weights, after["b"].weights)


def test_without_known_videos_there_are_no_adapters(videos: Videos) -> None:
    assert dataclasses.replace(videos, known=np.zeros(len(videos.known), bool)).adapters() == {}
