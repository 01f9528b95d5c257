"""Link each face with the faces that look most like it."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from thumblab_core.arrays import Float32s, Float64s, Rows
from thumblab_core.index.kinds import faiss_module
from thumblab_pipelines.progress import Progress, batches, silent

NEIGHBOURS = 24
_EXACT = 20_000
"""Up to this number of faces, each face is compared with every other face."""
_PROBES = 8
_BATCH = 8192
_STEP = 0.02


@dataclass(frozen=True)
class Links:
    """m links. Each link joins two faces, and has their rows and their cosine. `first` is the smaller row."""

    first: Rows
    second: Rows
    cosine: Float64s

    def above(self, cosine: float) -> Links:
        """Return the links whose cosine is at least `cosine`."""
        keep = self.cosine >= cosine
        return Links(self.first[keep], self.second[keep], self.cosine[keep])


def nearest_links(
    vectors: Float32s, pictures: Rows, least: float, neighbours: int = NEIGHBOURS, progress: Progress = silent
) -> Links:
    """Link each face with its nearest faces in other pictures. A link needs a cosine of at least `least`.

    `vectors` [n, d] are unit vectors. With more than `_EXACT` faces, the search is approximate and may miss some near
    faces.
    """
    count = len(vectors)
    empty = np.empty(0, np.intp)
    if count < 2:
        return Links(empty, empty, np.empty(0))
    faiss = faiss_module()
    faiss.omp_set_num_threads(os.cpu_count() or 1)
    try:
        index = _index(faiss, vectors)
        found = [
            _links_of(index, vectors, pictures, batch[0], neighbours)
            for batch in batches(range(count), _BATCH, "comparing faces", progress)
        ]
    finally:
        faiss.omp_set_num_threads(1)
    rows, others, cosines = (np.concatenate(parts) for parts in zip(*found, strict=True))
    keep = cosines >= least
    low, high = np.minimum(rows, others)[keep], np.maximum(rows, others)[keep]
    pairs, where = np.unique(low * count + high, return_index=True)
    return Links(pairs // count, pairs % count, cosines[keep][where].astype(np.float64))


def components(count: int, links: Links, most: int) -> list[Rows]:
    """Return the connected components of `count` faces. Components of a single face are left out.

    The weakest links of a component with more than `most` faces are removed, until no part has more than `most` faces.
    """
    found = []
    waiting = [(np.arange(count), links, -1.0)]
    while waiting:
        rows, inside, cut = waiting.pop()
        for part, its_links in _parts(rows, inside):
            if len(part) <= most or cut >= 1:
                found.append(part)
            else:
                higher = max(cut, float(its_links.cosine.min())) + _STEP
                waiting.append((part, its_links.above(higher), higher))
    return sorted(found, key=lambda part: int(part[0]))


def _parts(rows: Rows, links: Links) -> list[tuple[Rows, Links]]:
    """Split `rows`, which are in rising order, into connected components. Return each component with its links.

    Faces without links are left out.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    first, second = np.searchsorted(rows, links.first), np.searchsorted(rows, links.second)
    matrix = coo_array((np.ones(len(first), np.int8), (first, second)), shape=(len(rows), len(rows)))
    number = connected_components(matrix, directed=False)[1].astype(np.intp)
    by_part, of_link = np.argsort(number, kind="stable"), np.argsort(number[first], kind="stable")
    sizes = np.bincount(number)
    ends, link_ends = np.cumsum(sizes), np.cumsum(np.bincount(number[first], minlength=len(sizes)))
    parts = []
    for part in np.flatnonzero(sizes > 1):
        inside = of_link[(link_ends[part - 1] if part else 0) : link_ends[part]]
        members = rows[by_part[ends[part] - sizes[part] : ends[part]]]
        parts.append((members, Links(links.first[inside], links.second[inside], links.cosine[inside])))
    return parts


def _index(faiss: Any, vectors: Float32s) -> Any:
    """Return an index of the `vectors` [n, d]. It finds the vectors with the highest inner products with a query."""
    count, dimension = vectors.shape
    flat = faiss.IndexFlatIP(dimension)
    if count <= _EXACT:
        flat.add(vectors)
        return flat
    index = faiss.IndexIVFFlat(flat, dimension, 4 * math.isqrt(count), faiss.METRIC_INNER_PRODUCT)
    index.cp.niter, index.cp.max_points_per_centroid, index.nprobe = 6, 64, _PROBES
    index.train(vectors)
    index.add(vectors)
    return index


def _links_of(
    index: Any, vectors: Float32s, pictures: Rows, start: int, neighbours: int
) -> tuple[Rows, Rows, Float64s]:
    """Return the links of the batch that begins at row `start`: rows of faces, rows of neighbours, and cosines."""
    batch = vectors[start : start + _BATCH]
    cosines, found = index.search(batch, min(neighbours + 1, len(vectors)))
    rows = np.repeat(np.arange(start, start + len(batch)), found.shape[1])
    others, flat = found.ravel().astype(np.intp), cosines.ravel()
    # If FAISS finds fewer neighbours than asked for, it fills the rest of the row with -1.
    keep = (others >= 0) & (others != rows)
    keep[keep] = pictures[rows[keep]] != pictures[others[keep]]
    return rows[keep], others[keep], flat[keep]
