"""Place thumbnails on a map by t-SNE [1]_. A later map keeps the places of an earlier map as far as possible.

The vectors are reduced to 50 principal components, and laid out by openTSNE [2]_. A first map starts from the first two
components [3]_. A later map starts from the places of the earlier map. Then the whole later map is moved, turned and
scaled, so that the videos of the earlier map are as near as possible to their earlier places [4]_.

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
"""The perplexity of t-SNE is roughly the number of neighbours that t-SNE keeps near each video. Up to `SMALL` videos,
the perplexity is `PERPLEXITY_OF_SMALL`, but at most a third of the number of videos.
"""
MARGIN = 0.08
"""The free space at each side of a first map, as a share of the width. Later maps may grow into this space, so their
places need not be scaled.
"""

_EXAGGERATED, _PLAIN, _CONTINUED = 250, 500, 60
"""Numbers of iterations of t-SNE. A first map has `_EXAGGERATED` iterations with exaggerated attraction, and then
`_PLAIN` iterations with normal attraction. A map that starts from an earlier map has `_CONTINUED` iterations.
"""
_EXAGGERATION = 12.0
_ONE_THREAD = 5_000
"""Up to this number of videos, one thread is faster than several threads."""
_FEWEST = 50
"""With fewer videos than this number, the places are the first two principal components. For so few videos, these
components keep more of the neighbourhoods than t-SNE does.
"""
_TOLERATED = 0.1
"""A map of fewer than `_FEWEST` videos keeps the earlier places if their trustworthiness is at most this much lower
than the trustworthiness of new places.
"""
_NEAR = 5
"""A new video starts at the mean place of its `_NEAR` nearest videos on the earlier map."""
_COMMON = 0.5
"""A layout starts from an earlier map only if at least this share of the videos is in the earlier map."""
_ONE_PLACE = 1e-6
"""Places that differ by less than this distance count as one place. If all videos of a map have one place, the map does
not show how another map must be turned or scaled.
"""


@dataclass(frozen=True)
class Earlier:
    """The k videos that are on the new map and on an earlier map, with their earlier places.

    `rows` [k]: the rows of these videos in the new map. `places` [k, 2]: the places of these videos on the earlier map.
    `spread`: the standard deviation of all places of the earlier map, in the units of t-SNE.
    """

    rows: Rows
    places: Float64s
    spread: float


@dataclass(frozen=True)
class Layout:
    """The places [n, 2] on a map, 0 to 1.

    `spread`: see `Earlier`. `continued`: whether the layout started from an earlier map. `drift`: the median distance
    of the videos from their earlier places, as a share of the width of the earlier map. `drift` is None without an
    earlier map.
    """

    places: Float64s
    spread: float
    continued: bool
    drift: float | None


def lay_out(vectors: Float32s, earlier: Earlier | None = None) -> Layout:
    """Return the places of the unit vectors [n, d] on a map.

    The same input gives the same places, if one thread computes them.
    """
    if earlier is not None and (
        len(earlier.rows) < max(3, _COMMON * len(vectors)) or _width(earlier.places) < _ONE_PLACE
    ):
        earlier = None
    raw = _raw(reduced(vectors), vectors, earlier)
    spread = float(raw.std()) or 1.0
    # If all videos of the earlier map now have the same place, the new map cannot be aligned with the earlier map.
    if earlier is None or _width(raw[earlier.rows]) < _ONE_PLACE:
        return Layout(_framed(raw), spread, False, None)
    placed = _within_frame(_aligned(raw, earlier.rows, earlier.places))
    return Layout(placed, spread, True, drift(placed[earlier.rows], earlier.places))


def drift(places: Float64s, earlier: Float64s) -> float:
    """Return the median distance from `places` [k, 2] to `earlier` [k, 2], as a share of the width of the earlier map.

    The width is the longer side of the smallest rectangle around the earlier places.
    """
    return float(np.median(np.linalg.norm(places - earlier, axis=1))) / _width(earlier)


def _width(places: Float64s) -> float:
    return float(np.ptp(places, axis=0).max())


def reduced(vectors: Float32s, components: int = COMPONENTS) -> Float64s:
    """Return the first principal components of the vectors [n, d], float64 [n, k]. k is at most `components`.

    If all vectors are equal, the components are 0.
    """
    from sklearn.decomposition import PCA

    count = min(components, *vectors.shape)
    if not np.ptp(vectors, axis=0).any():
        return np.zeros((len(vectors), count))
    solver = "randomized" if min(vectors.shape) > 4 * count else "full"
    return np.asarray(PCA(count, svd_solver=solver, random_state=0).fit_transform(vectors.astype(np.float64)))


def _raw(components: Float64s, vectors: Float32s, earlier: Earlier | None) -> Float64s:
    """Return the places of the n videos, float64 [n, 2], in the units of t-SNE or of the principal components."""
    if len(vectors) < _FEWEST or not components.any():
        return _few(components, vectors, earlier)
    import openTSNE

    threads = 1 if len(vectors) <= _ONE_THREAD else os.cpu_count() or 1
    affinities = openTSNE.affinity.PerplexityBasedNN(
        components,
        perplexity=min(PERPLEXITY_OF_SMALL if len(vectors) <= SMALL else PERPLEXITY, (len(vectors) - 1) / 3),
        # If a vector equals the mean of all vectors, its components are 0, and its cosine is not defined.
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


def _few(components: Float64s, vectors: Float32s, earlier: Earlier | None) -> Float64s:
    """Return the places of a small number of videos: the first two components of each video.

    With an earlier map, the components are aligned with this map, and each video of the earlier map keeps its earlier
    place. If the earlier places lose too many neighbours, they are not kept, and all videos get new places.
    """
    first = components[:, :2]
    anew = np.pad(first, ((0, 0), (0, 2 - first.shape[1])))
    if earlier is None or _width(anew[earlier.rows]) < _ONE_PLACE:
        return anew
    kept = _aligned(anew, earlier.rows, earlier.places)
    kept[earlier.rows] = earlier.places
    before, after = neighbourhoods(vectors, kept), neighbourhoods(vectors, anew)
    worse = before is None or after is None or before.trustworthiness < after.trustworthiness - _TOLERATED
    return anew if worse else kept


def _start(vectors: Float32s, earlier: Earlier) -> Float64s:
    """Return the place from which t-SNE moves each video.

    A video of the earlier map starts at its earlier place. A new video starts at the mean of the earlier places of the
    most similar videos.
    """
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
            # t-SNE cannot separate videos that start at exactly the same place, so random numbers are added.
            start[part] = known[near].mean(1) + rng.normal(0, 1e-3 * earlier.spread, (len(part), 2))
    return start


def _aligned(raw: Float64s, rows: Rows, places: Float64s) -> Float64s:
    """Return all places, moved, turned, mirrored and scaled so that the places of `rows` are as near as possible to
    `places` [k, 2].
    """
    from_mean, to_mean = raw[rows].mean(0), places.mean(0)
    source, target = raw[rows] - from_mean, places - to_mean
    left, strengths, right = np.linalg.svd(source.T @ target)
    scale = strengths.sum() / (source**2).sum()
    return np.asarray((raw - from_mean) @ (left @ right) * scale + to_mean)


def _framed(raw: Float64s) -> Float64s:
    """Return the places, moved to the middle of the square from 0 to 1, and scaled by the same factor on both axes."""
    low, high = raw.min(0), raw.max(0)
    scale = (1 - 2 * MARGIN) / (float((high - low).max()) or 1.0)
    return np.asarray((raw - (low + high) / 2) * scale + 0.5)


def _within_frame(places: Float64s) -> Float64s:
    """Return the places. If a place is outside the square from 0 to 1, apply `_framed` to all places."""
    return places if places.min() >= 0 and places.max() <= 1 else _framed(places)


def is_finite(places: Floats) -> bool:
    """Return whether all places are numbers from 0 to 1."""
    return bool(np.isfinite(places).all() and places.min() >= 0 and places.max() <= 1)
