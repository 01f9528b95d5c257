"""Place thumbnails on a map by t-SNE [1]_, and keep the places from one map to the next.

The vectors are reduced to 50 principal components, and laid out by openTSNE [2]_. A first map starts from the first two
components [3]_. A later map starts from the places of the earlier map, and is then moved, turned and scaled so that the
videos of both maps are as near as possible to their earlier places [4]_.

.. [1] L. van der Maaten and G. Hinton, "Visualizing data using t-SNE", JMLR, 2008.
.. [2] P. Poličar, M. Stražar and B. Zupan, "openTSNE: a modular Python library for t-SNE dimensionality reduction and
   embedding", Journal of Statistical Software, 2024.
.. [3] D. Kobak and P. Berens, "The art of using t-SNE for single-cell transcriptomics", Nature Communications, 2019.
.. [4] S. Umeyama, "Least-squares estimation of transformation parameters between two point patterns", IEEE PAMI, 1991.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from thumblab_core.arrays import Float32s, Float64s, Floats, Rows
from thumblab_pipelines.library_map.quality import neighbourhoods

COMPONENTS = 50
SMALL, PERPLEXITY_OF_SMALL, PERPLEXITY = 2_000, 80.0, 50.0
"""The number of neighbours that t-SNE keeps near, about: `PERPLEXITY_OF_SMALL` for up to `SMALL` videos.

With fewer than 240 videos, it is a third of their number.
"""
MARGIN = 0.08
"""The free space at each side of a first map. Later maps may use it, so that they need not be scaled."""

_EXAGGERATED, _PLAIN, _CONTINUED = 250, 500, 60
"""Numbers of iterations: with exaggerated attraction, after it, and from the places of an earlier map."""
_EXAGGERATION = 12.0
_ONE_THREAD = 5_000
"""Up to this number of videos, one thread is faster than several."""
_FEWEST = 50
"""With fewer videos than this, the first two principal components are the map. t-SNE keeps less of so few videos."""
_TOLERATED = 0.05
"""So few videos keep their earlier places if the trustworthiness is lower by at most this than with new places."""
_NEAR = 5
"""A new video starts at the mean place of this number of its nearest videos of the earlier map."""
_COMMON = 0.5
"""Minimum share of videos that were in the earlier map, so that a layout starts from it."""


@dataclass(frozen=True)
class Earlier:
    """The places of an earlier map. `rows`: the rows of the new map whose videos it has. `places`: their places [k, 2].

    `spread`: the standard deviation that the places of the earlier map had in the units of t-SNE.
    """

    rows: Rows
    places: Float64s
    spread: float


@dataclass(frozen=True)
class Layout:
    """The places [n, 2] on a map, 0 to 1. `spread`: see `Earlier`. `continued`: whether it started from an earlier map.

    `drift`: the median distance of the videos from their earlier places, as a share of the width of the earlier map.
    None without an earlier map.
    """

    places: Float64s
    spread: float
    continued: bool
    drift: float | None


def lay_out(vectors: Float32s, earlier: Earlier | None = None) -> Layout:
    """Return the places of the unit vectors [n, d] on a map.

    The same input gives the same places, if one thread computes them.
    """
    if earlier is not None and (len(earlier.rows) < max(3, _COMMON * len(vectors)) or np.ptp(earlier.places) == 0):
        earlier = None
    raw = _raw(reduced(vectors), vectors, earlier)
    spread = float(raw.std()) or 1.0
    if earlier is None:
        return Layout(_framed(raw), spread, False, None)
    placed = _within_frame(_aligned(raw, earlier.rows, earlier.places))
    return Layout(placed, spread, True, drift(placed[earlier.rows], earlier.places))


def drift(places: Float64s, earlier: Float64s) -> float:
    """Return the median distance between the places [k, 2] and the earlier ones, as a share of the earlier map's width.

    The width is the longer side of the smallest rectangle that holds the earlier places.
    """
    width = float(np.ptp(earlier, axis=0).max())
    return float(np.median(np.linalg.norm(places - earlier, axis=1))) / width


def reduced(vectors: Float32s, components: int = COMPONENTS) -> Float64s:
    """Return the first principal components of the vectors [n, d], as float64 [n, components] or fewer columns.

    If all vectors are equal, the components are 0.
    """
    from sklearn.decomposition import PCA

    count = min(components, *vectors.shape)
    if not np.ptp(vectors, axis=0).any():
        return np.zeros((len(vectors), count))
    solver = "randomized" if min(vectors.shape) > 4 * count else "full"
    return np.asarray(PCA(count, svd_solver=solver, random_state=0).fit_transform(vectors.astype(np.float64)))


def _raw(components: Float64s, vectors: Float32s, earlier: Earlier | None) -> Float64s:
    """Return the places in the units of t-SNE, float64 [n, 2]."""
    if len(vectors) < _FEWEST or not components.any():
        first = components[:, :2]
        anew = np.pad(first, ((0, 0), (0, 2 - first.shape[1])))
        kept = anew if earlier is None else _start(vectors, earlier)
        before, after = neighbourhoods(vectors, kept), neighbourhoods(vectors, anew)
        worse = before is None or after is None or before.trustworthiness < after.trustworthiness - _TOLERATED
        return anew if worse else kept
    import openTSNE

    threads = 1 if len(vectors) <= _ONE_THREAD else os.cpu_count() or 1
    affinities = openTSNE.affinity.PerplexityBasedNN(
        components,
        perplexity=min(PERPLEXITY_OF_SMALL if len(vectors) <= SMALL else PERPLEXITY, (len(vectors) - 1) / 3),
        # A vector that equals the mean has no direction, and so no cosine.
        metric="cosine" if np.linalg.norm(components, axis=1).all() else "euclidean",
        n_jobs=threads,
        random_state=0,
    )
    start = openTSNE.initialization.rescale(components[:, :2]) if earlier is None else _start(vectors, earlier)
    embedding = openTSNE.TSNEEmbedding(
        start,
        affinities,
        negative_gradient_method="bh" if len(vectors) < 10_000 else "fft",
        learning_rate="auto",
        n_jobs=threads,
        random_state=0,
    )
    if earlier is None:
        embedding.optimize(_EXAGGERATED, exaggeration=_EXAGGERATION, momentum=0.5, inplace=True)
        embedding.optimize(_PLAIN, momentum=0.8, inplace=True)
    else:
        embedding.optimize(_CONTINUED, momentum=0.8, inplace=True)
    return np.asarray(embedding, np.float64)


def _start(vectors: Float32s, earlier: Earlier) -> Float64s:
    """Return where the videos start: at their earlier places, or between those of their nearest videos."""
    known = earlier.places - earlier.places.mean(0)
    known *= earlier.spread / known.std()
    start = np.empty((len(vectors), 2))
    start[earlier.rows] = known
    new = np.setdiff1d(np.arange(len(vectors)), earlier.rows)
    count = min(_NEAR, len(known))
    rng = np.random.default_rng(0)
    for part in np.array_split(new, max(1, len(new) // 1_000)):
        if len(part):
            cosines = vectors[part] @ vectors[earlier.rows].T
            near = np.argpartition(-cosines, count - 1, axis=1)[:, :count]
            # Videos at the same place would stay together, because nothing would move them apart.
            start[part] = known[near].mean(1) + rng.normal(0, 1e-3 * earlier.spread, (len(part), 2))
    return start


def _aligned(raw: Float64s, rows: Rows, places: Float64s) -> Float64s:
    """Return the places, moved, turned, mirrored and scaled so that `rows` are nearest to `places` [k, 2]."""
    from_mean, to_mean = raw[rows].mean(0), places.mean(0)
    source, target = raw[rows] - from_mean, places - to_mean
    left, strengths, right = np.linalg.svd(source.T @ target)
    scale = strengths.sum() / (source**2).sum()
    return np.asarray((raw - from_mean) @ (left @ right) * scale + to_mean)


def _framed(raw: Float64s) -> Float64s:
    """Return the places in the middle of the square from 0 to 1, on one scale for both axes."""
    low, high = raw.min(0), raw.max(0)
    scale = (1 - 2 * MARGIN) / (float((high - low).max()) or 1.0)
    return np.asarray((raw - (low + high) / 2) * scale + 0.5)


def _within_frame(places: Float64s) -> Float64s:
    """Return the places, framed anew if one of them is outside the square from 0 to 1."""
    return places if places.min() >= 0 and places.max() <= 1 else _framed(places)


def is_finite(places: Floats) -> bool:
    """Return whether all places are numbers from 0 to 1."""
    return bool(np.isfinite(places).all() and places.min() >= 0 and places.max() <= 1)
