"""Choose pairs of faces, and compute their cosines. If there are too many pairs, random pairs are chosen.

The functions take unit vectors [n, d] in canonical order, so that the choice does not depend on the order of the input.
"""

from __future__ import annotations

import numpy as np

from thumblab_core.arrays import Float32s, Float64s, Rows

_MOST_PAIRS = 1_000_000


def labelled_pairs(vectors: Float32s, people: Rows) -> tuple[Float64s, Float64s]:
    """Return the cosines of pairs of one person, and of pairs of different people.

    `people` [n]: the cluster into which a person put each face, or -1.
    """
    rows = np.flatnonzero(people >= 0)
    first, second = (rows[side] for side in _sampled(len(rows)))
    cosines, same = _cosines(vectors, first, second), people[first] == people[second]
    return cosines[same], cosines[~same]


def picture_pairs(vectors: Float32s, pictures: Rows) -> Float64s:
    """Return the cosines of pairs of faces in one picture. Each face is paired with the next face of its picture."""
    order = np.argsort(pictures, kind="stable")
    following = np.flatnonzero(pictures[order][1:] == pictures[order][:-1])
    return _cosines(vectors, order[following], order[following + 1])


def unlabelled_pairs(vectors: Float32s, people: Rows) -> Float64s:
    """Return the cosines of random pairs in which at least one face has no label."""
    first, second = _sampled(len(vectors))
    unknown = (people[first] < 0) | (people[second] < 0)
    return _cosines(vectors, first[unknown], second[unknown])


def _sampled(count: int) -> tuple[Rows, Rows]:
    """Return all pairs of `count` rows, or `_MOST_PAIRS` random pairs if there are more pairs."""
    if count * (count - 1) // 2 <= _MOST_PAIRS:
        return np.triu_indices(count, 1)
    random = np.random.default_rng(0)
    first = random.integers(0, count, _MOST_PAIRS)
    return first, (first + random.integers(1, count, _MOST_PAIRS)) % count


def _cosines(vectors: Float32s, first: Rows, second: Rows) -> Float64s:
    """Return the cosine of each pair of rows [m]."""
    cosines = np.empty(len(first), np.float64)
    for start in range(0, len(first), 1 << 16):
        part = slice(start, start + (1 << 16))
        cosines[part] = np.einsum("md,md->m", vectors[first[part]], vectors[second[part]])
    return cosines
