"""Test that the lab makes a map of a library with few pictures or with equal pictures."""

import numpy as np
import pytest

from thumblab_core.encoders.protocol import unit
from thumblab_pipelines.library_map.clustering import find_clusters
from thumblab_pipelines.library_map.layout import Earlier, is_finite, lay_out


@pytest.mark.parametrize("count", [1, 2, 3, 49, 50, 60])
@pytest.mark.parametrize("kind", ["different", "equal", "one differs", "one is the mean"])
@pytest.mark.filterwarnings("error")
def test_any_pictures_get_finite_places(count: int, kind: str) -> None:
    vectors = unit(np.random.default_rng(0).standard_normal((count, 32)))
    if kind == "equal":
        vectors[:] = vectors[0]
    elif kind == "one differs":
        vectors[1:] = vectors[0]
    elif kind == "one is the mean":
        vectors = np.concatenate([vectors, -vectors, np.zeros((1, 32), np.float32)])
    first = lay_out(vectors)
    again = lay_out(vectors, Earlier(np.arange(len(vectors)), first.places, first.spread))
    assert is_finite(first.places)
    assert is_finite(again.places)
    assert find_clusters(first.places).coarse.shape == (len(vectors),)


@pytest.mark.parametrize("count", [3, 10, 60])
@pytest.mark.filterwarnings("error")
def test_a_map_begins_anew_if_the_videos_of_both_maps_are_at_one_place(count: int) -> None:
    random = np.random.default_rng(0)
    vectors = unit(random.standard_normal((count, 32)))
    first = lay_out(vectors)
    equal = np.repeat(vectors[:1], count, axis=0)
    now_equal = lay_out(equal, Earlier(np.arange(count), first.places, first.spread))
    assert is_finite(now_equal.places)
    assert not now_equal.continued
    one_place = np.repeat([[0.3, 0.7]], count, axis=0)
    were_equal = lay_out(vectors, Earlier(np.arange(count), one_place, 1.0))
    assert is_finite(were_equal.places)
    assert (were_equal.continued, were_equal.drift) == (False, None)


def test_few_videos_keep_their_places_when_one_of_them_is_replaced() -> None:
    random = np.random.default_rng(0)
    drifts = []
    for _ in range(20):
        # The vectors have 32 numbers but vary in only four directions. Each picture is therefore a little like some
        # other pictures.
        vectors = unit(random.standard_normal((15, 4)) @ random.standard_normal((4, 32)))
        first = lay_out(vectors[:14])
        second = lay_out(vectors[1:], Earlier(np.arange(13), first.places[1:], first.spread))
        assert second.drift is not None
        drifts.append(second.drift)
    assert np.mean(np.array(drifts) < 0.02) >= 0.9
