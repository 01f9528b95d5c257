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
