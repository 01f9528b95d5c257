"""The base of a library: vectors of thumbnails, their items in the same order, and a FAISS index of the vectors.

The base is built in one step and never changes. The module `changes` keeps the videos that are added, replaced or taken
out after that.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from thumblab_core.encoders.protocol import Vectors
from thumblab_core.index.filters import Columns
from thumblab_core.index.items import MAX_NEIGHBOURS, Item, LibraryError
from thumblab_core.index.kinds import (
    AUTO,
    FLAT,
    FLAT_UP_TO,
    IndexKind,
    UntrainableError,
    all_cores,
    factory_for,
    faiss_module,
    flat,
    parameter_of,
    set_parameter,
    trained,
)
from thumblab_core.index.mapped import Pages
from thumblab_core.index.projection import Projection
from thumblab_core.index.scan import ROUNDING, can_scan, scan

FaissIds = npt.NDArray[np.int64]

_MEASURED_QUERIES = 256
"""Recall is measured with this number of the library's own vectors as queries. Recall is the share of the nearest
vectors that a search finds.
"""
_BLOCK = 1024
"""Maximum number of queries that are searched at a time. Without the index, a query is compared with this number of
vectors at a time.
"""
_COMPARED = 100_000
"""Number of vectors that are compared with many queries at a time."""
MOST_APPROXIMATE = 2 * MAX_NEIGHBOURS
"""Maximum number of neighbours that are searched with an approximate index.

To find more neighbours, the query is compared with all vectors. The reason is that the recall of the index is measured
for `MAX_NEIGHBOURS` neighbours. For many more neighbours, the recall is unknown.
"""


class Base:
    """A set of vectors with their items. It never changes, and many threads may search it at the same time."""

    def __init__(self, index: Any, vectors: Vectors, items: Sequence[Item], kind: IndexKind) -> None:
        self.index = index
        self.vectors = vectors
        self.items = tuple(items)
        self.kind = kind
        self.pages = Pages(vectors)

    def __len__(self) -> int:
        return len(self.items)

    @property
    def dimension(self) -> int:
        return int(self.vectors.shape[1])

    @cached_property
    def row_of(self) -> dict[str, int]:
        """A dictionary from each video id to the row of the video in `vectors` and `items`."""
        return {item.video_id: row for row, item in enumerate(self.items)}

    @cached_property
    def columns(self) -> Columns:
        """The fields of the items as arrays. They are made when a search with a filter first needs them."""
        return Columns(self.items)

    @cached_property
    def projection(self) -> Projection | None:
        """A short form of the vectors, see `Projection`. None if the base is so small that a search is fast without a
        projection.

        The projection is computed when a search with a filter first needs it.
        """
        return Projection.of(self.vectors, self.pages.count) if len(self) > FLAT_UP_TO else None

    @classmethod
    def build(cls, vectors: Vectors, items: Sequence[Item], factory: str = AUTO, target: float = 0.99) -> "Base":
        """Build a base from unit vectors, float32 [n, d], and their n items.

        `target` is the share of the nearest vectors that a search must find. An approximate index gets the fastest
        value of its search parameter that reaches `target`. If no value reaches `target` and `factory` is `AUTO`, the
        index is exact. The index is also exact if there are too few vectors to train the index that `factory` names.

        Raises `LibraryError` if FAISS does not accept `factory`, if the numbers of vectors and items differ, or if two
        items are the same video.
        """
        if len(vectors) != len(items):
            raise LibraryError(f"there are {len(vectors)} vectors but {len(items)} items")
        if len({item.video_id for item in items}) != len(items):
            raise LibraryError("a video is in the library twice")
        chosen = factory_for(len(vectors)) if factory == AUTO else factory
        if chosen == FLAT or len(vectors) < 2:
            return cls._exact(vectors, items, None if factory in (AUTO, FLAT) else f"too few vectors for {chosen}")
        try:
            base = cls(trained(vectors, chosen), vectors, items, IndexKind(chosen))._tuned(target)
        except UntrainableError as error:
            return cls._exact(vectors, items, str(error))
        if base.kind.recall >= target:
            return base
        shortfall = f"{chosen} finds {base.kind.recall:.1%} of the nearest, not {target:.1%}"
        if factory == AUTO:
            return cls._exact(vectors, items, shortfall)
        return cls(base.index, vectors, items, replace(base.kind, note=shortfall))

    @classmethod
    def _exact(cls, vectors: Vectors, items: Sequence[Item], note: str | None) -> "Base":
        return cls(flat(vectors), vectors, items, IndexKind(FLAT, note=note))

    def nearest(self, query: Vectors, k: int) -> tuple[Vectors, FaissIds]:
        """Return the cosines and rows of the k vectors nearest to the unit vector `query` [d], nearest first.

        If the base has fewer than k vectors, all of them are returned.
        """
        k = min(k, len(self))
        if not k:
            return np.zeros(0, np.float32), np.zeros(0, np.int64)
        # FAISS stores, for each thread that calls it, how many threads a search uses. `faiss_module` sets this number
        # to one. `faiss_module` is called before every search, because the current thread may be new.
        faiss_module()
        if self.kind.exact:
            similarities, rows = self.index.search(np.ascontiguousarray(query[None]), k)
            return similarities[0], rows[0]
        if k <= MOST_APPROXIMATE:
            similarities, rows = self.index.search(np.ascontiguousarray(query[None]), self._candidates(k))
            nearest = similarities[0], rows[0]
            if not self.kind.keeps_distances:
                nearest = self._ordered(query, rows[0][rows[0] >= 0], k)
            if len(nearest[1]) == k and nearest[1][-1] >= 0:
                return nearest
        return self.nearest_among(np.arange(len(self)), query, k)

    def nearest_among(self, rows: FaissIds, query: Vectors, k: int) -> tuple[Vectors, FaissIds]:
        """Return the cosines and rows of the k vectors nearest to the unit vector `query` [d] among `rows`.

        The result is exact, nearest first. Of equal cosines, the lower row comes first. `rows` must be in rising order.
        """
        k = min(k, len(rows))
        if k and len(rows) > _BLOCK and self.projection is not None:
            left = self.projection.candidates(rows, query, k, lambda chosen: self._cosines(query, chosen))
            if left is not None:
                return self._ordered(query, left, k)
        if k and len(rows) > _BLOCK and can_scan(self.kind):
            for asked in (k + k // 4 + 8, 4 * k + 100):
                cosines, found = scan(self.index, self.kind, rows, query, asked)
                nearest = self._ordered(query, np.sort(found), k)
                # `scan` rounds the cosines, so it may leave out a vector that is among the k nearest. This is
                # impossible if the k-th cosine is higher than the last cosine of `scan` by more than two roundings.
                if len(found) == len(rows) or nearest[0][-1] - cosines[-1] > 2 * ROUNDING:
                    return nearest
        return self._ordered(query, rows, k)

    def nearest_others(self, rows: FaissIds, k: int) -> list[tuple[Vectors, FaissIds]]:
        """Return, for each vector in `rows`, the cosines and rows of the k vectors nearest to it, in any order.

        The vector itself is not among its neighbours. An approximate index is used for k up to `MOST_APPROXIMATE`. For
        a larger k, all vectors are compared.
        """
        neighbours: list[tuple[Vectors, FaissIds]] = []
        for start in range(0, len(rows), _BLOCK):
            block = rows[start : start + _BLOCK]
            queries = np.ascontiguousarray(self.vectors[block])
            if self.kind.exact or k > MOST_APPROXIMATE:
                neighbours.extend(self._others_exactly(queries, block, k))
                continue
            with all_cores():
                candidates = self.index.search(queries, self._candidates(k + 1))[1]
            for query, row, near in zip(queries, block, candidates, strict=True):
                neighbours.append(self._ordered(query, near[(near >= 0) & (near != row)], k))
        return neighbours

    def _others_exactly(self, queries: Vectors, block: FaissIds, k: int) -> list[tuple[Vectors, FaissIds]]:
        """Do the same as `nearest_others`, by comparing with all vectors. `queries` [m, d] are the vectors of the rows
        `block` [m].
        """
        faiss = faiss_module()
        k = min(k, len(self) - 1)
        with all_cores():
            # The vectors are compared in parts, because the cosines of many queries with all vectors take much memory.
            parts = faiss.ResultHeap(len(queries), k + 1, keep_max=True)
            for start in range(0, len(self), _COMPARED):
                vectors = np.ascontiguousarray(self.vectors[start : start + _COMPARED])
                found = faiss.knn(queries, vectors, min(k + 1, len(vectors)), metric=faiss.METRIC_INNER_PRODUCT)
                parts.add_result(found[0], found[1] + start)
                self.pages.count(len(vectors))
            parts.finalize()
        nearest: list[tuple[Vectors, FaissIds]] = []
        for row, similarities, rows in zip(block, parts.D, parts.I, strict=True):
            others = np.flatnonzero(rows != row)[:k]
            nearest.append((similarities[others], rows[others]))
        return nearest

    def _ordered(self, query: Vectors, rows: FaissIds, k: int) -> tuple[Vectors, FaissIds]:
        """Return the cosines and rows of the k vectors nearest to `query` among `rows`, nearest first.

        The cosines are computed from `vectors`, because the index may store the vectors at lower precision.
        """
        k = min(k, len(rows))
        if not k:
            return np.zeros(0, np.float32), np.zeros(0, np.int64)
        similarities = self._cosines(query, rows)
        # Rows with equal cosines keep their order, so that the pages of an answer do not repeat a video.
        least = np.partition(similarities, len(rows) - k)[len(rows) - k]
        near = np.flatnonzero(similarities >= least)
        nearest = near[np.argsort(-similarities[near], kind="stable")][:k]
        return similarities[nearest], rows[nearest]

    def _cosines(self, query: Vectors, rows: FaissIds) -> Vectors:
        """Return the cosines of the query and the vectors of `rows`, which must not be empty.

        The vectors are read in blocks, because together they may take more memory than a request should.
        """
        cosines = []
        for start in range(0, len(rows), _BLOCK):
            cosines.append(self.vectors[rows[start : start + _BLOCK]] @ query)
            self.pages.count(min(_BLOCK, len(rows) - start))
        return np.concatenate(cosines)

    def _candidates(self, k: int) -> int:
        """Return how many rows to request from the index, if the k nearest rows are wanted.

        The result is k if the cosines that the index returns have errors of at most 1e-4. An index with less exact
        cosines may sort the rows wrongly. From such an index, about 25 % more rows are requested, and `_ordered`
        chooses the k nearest rows.
        """
        return k if self.kind.keeps_distances else k + k // 4 + 8

    def _tuned(self, target: float) -> "Base":
        """Find the fastest value of the search parameter with a recall of at least `target`.

        If no value reaches `target`, use the slowest value, which has the highest recall. Give the index the value that
        was found. Returns a base whose `kind` records this value and its recall.
        """
        name, values = parameter_of(self.kind.factory, len(self))
        k = min(MAX_NEIGHBOURS, len(self) - 1)
        rows = np.sort(np.random.default_rng(0).choice(len(self), min(_MEASURED_QUERIES, len(self)), replace=False))
        queries = np.ascontiguousarray(self.vectors[rows])
        truth = [set(near.tolist()) for _, near in self._others_exactly(queries, rows, k)]

        def recall_with(value: int | None) -> float:
            if name is not None and value is not None:
                set_parameter(self.index, name, value)
            nearest = [set(near.tolist()) for _, near in self.nearest_others(rows, k)]
            return float(np.mean([len(true & near) / k for true, near in zip(truth, nearest, strict=True)]))

        low, high = 0, len(values) - 1
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if recall_with(values[middle]) >= target else (middle + 1, high)
        value = values[low] if values else None
        kind = replace(
            self.kind, parameter=name, value=value, recall=recall_with(value), target=target, k=k, queries=len(rows)
        )
        return Base(self.index, self.vectors, self.items, kind)
