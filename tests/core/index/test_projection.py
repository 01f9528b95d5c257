"""Test the bounds by which a search skips vectors: the search must never skip one of the nearest vectors.

A bound is an upper limit for the cosine of the query and a vector, see `thumblab_core.index.projection`.
"""

import numpy as np
import pytest

from thumblab_core.encoders.protocol import Vectors, unit
from thumblab_core.index import Filter, Item, NicheIndex
from thumblab_core.index.base import Base, FaissIds
from thumblab_core.index.projection import Projection

COUNT, D, LATENT = 10_400, 48, 10


def planted(noise: float, seed: int = 0) -> Vectors:
    """Return unit vectors that mostly differ in `LATENT` directions, like the vectors of an image encoder."""
    random = np.random.default_rng(seed)
    latent = random.standard_normal((COUNT, LATENT)) @ random.standard_normal((LATENT, D))
    return unit(latent + noise * random.standard_normal((COUNT, D)))


@pytest.mark.parametrize("noise", [0.0, 0.3, 0.8])
@pytest.mark.parametrize("share", [1.0, 0.4, 0.05])
@pytest.mark.parametrize("k", [1, 50, 400])
def test_the_nearest_are_among_the_candidates_and_most_vectors_are_not(noise: float, share: float, k: int) -> None:
    vectors = planted(noise)
    projection = Projection.of(vectors)
    assert projection is not None
    random = np.random.default_rng(1)
    rows = np.sort(random.choice(COUNT, round(share * COUNT), replace=False))
    for query in (vectors[rows[3]], vectors[7], unit(random.standard_normal((1, D)))[0]):
        every = vectors @ query
        left = projection.candidates(rows, query, k, every.__getitem__)
        if left is None:
            assert noise > 0.3, "the bounds leave out too few"
            continue
        nearest = rows[np.argsort(-every[rows], kind="stable")[:k]]
        assert set(nearest.tolist()) <= set(left.tolist())
        assert (np.diff(left) > 0).all()


def test_vectors_without_main_directions_have_no_projection() -> None:
    assert Projection.of(unit(np.random.default_rng(0).standard_normal((COUNT, D)))) is None


def test_a_filtered_search_compares_few_vectors_and_finds_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = planted(0.3)
    vectors[5_000:5_100] = vectors[5_000]  # All of these videos have the same picture.
    items = [Item(f"v{n}", "t", "A", None, 1.0, float(n % 10)) for n in range(COUNT)]
    index = NicheIndex.build(vectors, items, "encoder-1", factory="IVF16,SQfp16")
    index.prepare()
    rows = np.flatnonzero(np.arange(COUNT) % 10 >= 4)
    compared: list[int] = []
    cosines = Base._cosines

    def counted(base: Base, query: Vectors, asked: FaissIds) -> Vectors:
        compared.append(len(asked))
        return cosines(base, query, asked)

    monkeypatch.setattr(Base, "_cosines", counted)
    for query in (vectors[5_000], vectors[1]):
        found = index.find(query, 60, Filter(least_multiple=4.0))
        every = vectors[rows] @ query
        nearest = rows[np.argsort(-every, kind="stable")][:60]
        assert [near.similarity for near in found.neighbours] == pytest.approx(np.sort(every)[::-1][:60], abs=1e-6)
        assert {near.item.video_id for near in found.neighbours} == {f"v{n}" for n in nearest}
        assert found.total == len(rows)
    assert 0 < max(compared) < len(rows) / 4
