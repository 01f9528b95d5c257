"""Tests of near-duplicates: the search compares few pairs, and finds what a comparison of all pairs finds."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest

from thumblab_core.arrays import Flags
from thumblab_core.encoders.protocol import Vectors, unit
from thumblab_pipelines.dataset import near_duplicates, vector_search
from thumblab_pipelines.dataset.near_duplicates import Pictures

THRESHOLD = 0.97


@dataclass
class Planted:
    """Files, hashes and vectors of n pictures."""

    files: list[str]
    hashes: list[int | None]
    vectors: Vectors

    @property
    def pictures(self) -> Pictures:
        return Pictures(self.files, self.hashes, self.vectors, THRESHOLD)

    def alike(self) -> Flags:
        """Return for each pair of pictures [n, n] whether they look alike, by comparing all pairs."""
        files = np.array(self.files)
        hashes = np.array([value or 0 for value in self.hashes], np.int64).view(np.uint64)
        hashed = np.array([value is not None for value in self.hashes])
        near = (np.bitwise_count(hashes[:, None] ^ hashes) <= 6) & hashed[:, None] & hashed
        cosines = self.vectors.astype(np.float64) @ self.vectors.astype(np.float64).T
        return np.asarray((files[:, None] == files) | near | (cosines >= THRESHOLD))

    def repeats(self) -> list[int]:
        alike, kept, seen = self.alike(), np.zeros(len(self.files), bool), set[str]()
        for row, file in enumerate(self.files):
            kept[row] = file not in seen and not alike[row, kept].any()
            seen.add(file)
        return np.flatnonzero(~kept).tolist()

    def across(self, side: np.ndarray) -> list[tuple[int, int]]:
        apart = self.alike() & (side[:, None] != side) & np.tri(len(side), k=-1, dtype=bool)
        return [(int(row.argmax()), later) for later, row in enumerate(apart) if row.any()]


def unrelated(count: int, width: int, random: np.random.Generator) -> Planted:
    hashes = random.integers(-(2**63), 2**63, count).tolist()
    few = random.standard_normal((count, min(width, 12))) @ random.standard_normal((min(width, 12), width))
    vectors = unit((few + 0.2 * random.standard_normal((count, width))).astype(np.float32))
    return Planted([str(row) for row in range(count)], hashes, vectors)


def with_copies(planted: Planted, random: np.random.Generator) -> None:
    """Make two large groups of copies. The first group has equal files, hashes and vectors. The second has only equal
    vectors.
    """
    rows = random.permutation(len(planted.files))
    for row in rows[:120]:
        planted.files[row], planted.hashes[row] = planted.files[rows[0]], planted.hashes[rows[0]]
        planted.vectors[row] = planted.vectors[rows[0]]
    planted.vectors[rows[120:300]] = planted.vectors[rows[120]]


def with_chains(planted: Planted, random: np.random.Generator) -> None:
    """Make chains in which each picture looks like the picture before it, but not like earlier pictures of the chain."""
    rows = random.permutation(len(planted.files))
    for before, row in pairwise(rows[:100]):
        value = planted.hashes[before]
        assert value is not None
        flipped = np.int64(value) ^ np.int64(sum(1 << int(bit) for bit in random.permutation(63)[:5]))
        planted.hashes[row] = int(flipped)
    for before, row in pairwise(rows[100:250]):
        step = unit(random.standard_normal((1, planted.vectors.shape[1])).astype(np.float32))[0]
        planted.vectors[row] = unit((planted.vectors[before] + np.float32(random.uniform(0.1, 0.35)) * step)[None])[0]


def with_unknown(planted: Planted, random: np.random.Generator) -> None:
    """Make groups of copies. Then remove the hashes of half of the pictures, and fill some vectors with zeros or with
    NaN.
    """
    with_copies(planted, random)
    for row in random.permutation(len(planted.files))[: len(planted.files) // 2]:
        planted.hashes[row] = None
    planted.vectors[random.permutation(len(planted.files))[:30]] = 0
    planted.vectors[random.permutation(len(planted.files))[:30]] = np.nan


def with_dense_cells(planted: Planted, random: np.random.Generator) -> None:
    """Change all vectors so that the similarity of most pairs of pictures is near the threshold for near-duplicates."""
    noise = random.standard_normal(planted.vectors.shape).astype(np.float32)
    planted.vectors[:] = unit(planted.vectors[0] + np.float32(0.17) * unit(noise))


PLANS = [with_copies, with_chains, with_unknown, with_dense_cells]


@pytest.mark.parametrize("plan", PLANS, ids=[plan.__name__ for plan in PLANS])
@pytest.mark.parametrize("width", [3, 48, 200])
def test_every_method_finds_what_a_comparison_of_all_pairs_finds(
    monkeypatch: pytest.MonkeyPatch, width: int, plan: Callable[[Planted, np.random.Generator], None]
) -> None:
    # With small blocks, the pictures fill several blocks and several groups of blocks.
    monkeypatch.setattr(near_duplicates, "_ROWS", 64)
    monkeypatch.setattr(near_duplicates, "_SEVERAL", 300)
    monkeypatch.setattr(vector_search, "_PAIRS", 100)
    monkeypatch.setattr(vector_search, "_BLOCK", 130)
    random = np.random.default_rng(width)
    planted = unrelated(1_000, width, random)
    plan(planted, random)
    side = random.integers(0, 3, 1_000)
    expected = planted.repeats()
    assert np.flatnonzero(planted.pictures.repeats()).tolist() == expected
    assert list(planted.pictures.across(side)) == planted.across(side)
    rows, others = np.arange(400, 1_000), np.arange(400)
    alike = planted.pictures.any_alike(rows, others)
    assert alike.tolist() == planted.alike()[rows][:, others].any(axis=1).tolist()
    assert 90 < len(expected) < 1_000


def test_no_two_pictures_look_alike_without_a_cosine_that_reaches_the_threshold() -> None:
    planted = unrelated(50, 8, np.random.default_rng(0))
    planted.vectors[1] = planted.vectors[0]
    nothing = Pictures(planted.files, [None] * 50, planted.vectors, 1.01)
    assert not nothing.repeats().any()
    assert not nothing.any_alike(np.arange(25), np.arange(25, 50)).any()


def test_the_digest_changes_with_every_fact_that_decides_whether_pictures_look_alike() -> None:
    planted = unrelated(6, 8, np.random.default_rng(0))
    every = np.arange(6)

    def digest(threshold: float = THRESHOLD) -> str:
        return Pictures(planted.files, planted.hashes, planted.vectors, threshold).digest(every)

    digests = [digest(), digest(0.96), planted.pictures.digest(every[:5]), planted.pictures.digest(every[::-1])]
    planted.vectors[3, 2] += 0.001
    digests.append(digest())
    planted.hashes[2] = None
    digests.append(digest())
    planted.files[1] = "another"
    digests.append(digest())
    assert len(set(digests)) == len(digests)
    assert digest() == digests[-1]
