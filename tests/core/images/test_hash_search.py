"""Test that the search for near hashes finds the same pairs as a comparison of all pairs."""

import tracemalloc

import numpy as np
import pytest

from thumblab_core.images import hash_search
from thumblab_core.images.hash_search import Hashes, HashSearch, near_duplicates
from thumblab_core.images.perceptual import NEAR


def random_hashes(count: int, seed: int) -> Hashes:
    return np.random.default_rng(seed).integers(0, 2**64, count, np.uint64, endpoint=False)


def with_flipped_bits(hashes: Hashes, seed: int) -> Hashes:
    """Return each hash with 0 to 9 flipped bits at random places."""
    random = np.random.default_rng(seed)
    flips = [random.permutation(64)[: random.integers(0, 10)] for _ in hashes]
    return hashes ^ np.array([sum(1 << int(bit) for bit in bits) for bits in flips], np.uint64)


@pytest.mark.parametrize("pairs_at_once", [1, 50, 2**16])
@pytest.mark.parametrize("seed", range(3))
def test_the_near_hashes_are_those_of_a_comparison_of_all_pairs(
    monkeypatch: pytest.MonkeyPatch, seed: int, pairs_at_once: int
) -> None:
    monkeypatch.setattr(hash_search, "_PAIRS", pairs_at_once)
    hashes = random_hashes(1_500, seed)
    # These hashes agree in their 32 highest bits, which are two of the four bands of the search.
    hashes[:200] &= np.uint64(0xFFFFFFFF)
    queries = with_flipped_bits(hashes, seed)
    search = HashSearch(hashes)
    search.open(700)
    search.open(1_400)
    found = {pair for step in search.near(queries) for pair in zip(*map(np.ndarray.tolist, step), strict=True)}
    near = np.bitwise_count(queries[:, None] ^ hashes[:1_400]) <= NEAR
    assert found == set(zip(*(rows.tolist() for rows in np.nonzero(near)), strict=True))
    assert len(found) > 800


def test_near_duplicates_are_found_at_any_position() -> None:
    hashes = random_hashes(700, 0).view(np.int64)
    hashes[650] = hashes[3]
    hashes[10] = hashes[690] ^ 0b111111
    hashes[20] = hashes[21] ^ 0b1111111
    hashes[30] = ~hashes[31]
    assert np.flatnonzero(near_duplicates(hashes)).tolist() == [3, 10, 650, 690]
    assert near_duplicates([]).tolist() == []
    assert near_duplicates([5]).tolist() == [False]
    assert near_duplicates([-1, 5, -1]).tolist() == [True, False, True]


def test_comparing_a_large_library_uses_little_memory() -> None:
    hashes = random_hashes(20_000, 1).view(np.int64)
    hashes[19_999] = hashes[0]
    hashes[5_000:10_000] = hashes[5_000]
    tracemalloc.start()
    duplicates = near_duplicates(hashes)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.flatnonzero(duplicates).tolist() == [0, *range(5_000, 10_000), 19_999]
    assert peak < 80 * 2**20  # A table of 20,000 * 20,000 numbers of 8 bytes would need 3 GiB.
