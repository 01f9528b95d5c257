"""The part of a library that was built at once: vectors, their items in the same order, and a FAISS index over them."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from thumblab_core.encoders.protocol import Vectors
from thumblab_core.index.items import MAX_NEIGHBOURS, Item, LibraryError
from thumblab_core.index.kinds import (
    AUTO,
    FLAT,
    Kind,
    UntrainableError,
    all_cores,
    factory_for,
    faiss_module,
    flat,
    parameter_of,
    set_parameter,
    trained,
)

FaissIds = npt.NDArray[np.int64]

_QUERIES = 256
_BLOCK = 1024
_FAR = 2 * MAX_NEIGHBOURS
"""Beyond this many neighbours an approximate index is not asked: its recall was measured for fewer."""


class Base:
    """Immutable, and safe to search from many threads."""

    def __init__(self, index: Any, vectors: Vectors, items: Sequence[Item], kind: Kind) -> None:
        self.index = index
        self.vectors = vectors
        self.items = tuple(items)
        self.kind = kind

    def __len__(self) -> int:
        return len(self.items)

    @property
    def dimension(self) -> int:
        return int(self.vectors.shape[1])

    @cached_property
    def row_of(self) -> dict[str, int]:
        return {item.video_id: row for row, item in enumerate(self.items)}

    @classmethod
    def build(cls, vectors: Vectors, items: Sequence[Item], factory: str = AUTO, target: float = 0.99) -> "Base":
        """From unit vectors, float32 [n, d], and n items. Raises `LibraryError` for a factory string FAISS does not know.

        The index is searched with the cheapest parameter that finds the share `target` of the nearest. Where none does,
        or where the vectors are too few to train on, the library gets an exact index, and its kind says why.
        """
        if len(vectors) != len(items):
            raise LibraryError(f"{len(vectors)} vectors but {len(items)} items")
        if len({item.video_id for item in items}) != len(items):
            raise LibraryError("a video stands in the library twice")
        wanted = factory_for(len(vectors)) if factory == AUTO else factory
        if wanted == FLAT or len(vectors) < 2:
            return cls._exact(vectors, items, None if factory in (AUTO, FLAT) else f"too few vectors for {wanted}")
        try:
            found = cls(trained(vectors, wanted), vectors, items, Kind(wanted))._tuned(target)
        except UntrainableError as error:
            return cls._exact(vectors, items, str(error))
        if found.kind.recall >= target:
            return found
        missed = f"{wanted} finds {found.kind.recall:.1%} of the nearest, not {target:.1%}"
        if factory == AUTO:
            return cls._exact(vectors, items, missed)
        return cls(found.index, vectors, items, replace(found.kind, note=missed))

    @classmethod
    def _exact(cls, vectors: Vectors, items: Sequence[Item], note: str | None) -> "Base":
        return cls(flat(vectors), vectors, items, Kind(FLAT, note=note))

    def nearest(self, query: Vectors, k: int) -> tuple[Vectors, FaissIds]:
        """Cosines and rows of the k nearest (fewer when there are fewer) to a unit vector [d], nearest first."""
        k = min(k, len(self))
        if not k:
            return np.zeros(0, np.float32), np.zeros(0, np.int64)
        faiss_module()  # a thread that never searched before would share the work, whatever other threads do
        if self.kind.exact:
            similarities, rows = self.index.search(np.ascontiguousarray(query[None]), k)
            return similarities[0], rows[0]
        if k <= _FAR:
            similarities, rows = self.index.search(np.ascontiguousarray(query[None]), self._asked(k))
            found = similarities[0], rows[0]
            if not self.kind.faithful:
                found = self._ordered(query, rows[0][rows[0] >= 0], k)
            if len(found[1]) == k and found[1][-1] >= 0:
                return found
        return self._ordered(query, None, k)

    def nearest_others(self, rows: FaissIds, k: int) -> list[tuple[Vectors, FaissIds]]:
        """For each of the rows, its k nearest among all the others, as `nearest` finds them."""
        found: list[tuple[Vectors, FaissIds]] = []
        for start in range(0, len(rows), _BLOCK):
            block = rows[start : start + _BLOCK]
            queries = np.ascontiguousarray(self.vectors[block])
            if self.kind.exact or k > _FAR:
                found.extend(self._others_exactly(queries, block, k))
                continue
            with all_cores():
                candidates = self.index.search(queries, self._asked(k + 1))[1]
            for query, row, near in zip(queries, block, candidates, strict=True):
                found.append(self._ordered(query, near[(near >= 0) & (near != row)], k))
        return found

    def _others_exactly(self, queries: Vectors, block: FaissIds, k: int) -> list[tuple[Vectors, FaissIds]]:
        similarities = queries @ self.vectors.T
        similarities[np.arange(len(block)), block] = -np.inf
        k = min(k, len(self) - 1)
        nearest = np.argpartition(similarities, len(self) - k, axis=1)[:, len(self) - k :]
        return [(line[near], near) for line, near in zip(similarities, nearest, strict=True)]

    def _ordered(self, query: Vectors, rows: FaissIds | None, k: int) -> tuple[Vectors, FaissIds]:
        """The k nearest of these rows, or of all, by the vectors themselves: an index may hold them at reduced precision."""
        similarities = (self.vectors if rows is None else self.vectors[rows]) @ query
        k = min(k, len(similarities))
        nearest = np.argpartition(-similarities, k - 1)[:k] if k else np.zeros(0, np.int64)
        nearest = nearest[np.argsort(-similarities[nearest], kind="stable")]
        return similarities[nearest], nearest if rows is None else rows[nearest]

    def _asked(self, k: int) -> int:
        """How many an approximate index is asked for: a quarter more, where the vectors themselves put them in order."""
        return k if self.kind.faithful else k + k // 4 + 8

    def _tuned(self, target: float) -> "Base":
        """With the cheapest parameter that meets the target, or the dearest, and the recall that was measured."""
        name, values = parameter_of(self.kind.factory, len(self))
        k = min(MAX_NEIGHBOURS, len(self) - 1)
        rows = np.sort(np.random.default_rng(0).choice(len(self), min(_QUERIES, len(self)), replace=False))
        queries = np.ascontiguousarray(self.vectors[rows])
        truth = [set(near.tolist()) for _, near in self._others_exactly(queries, rows, k)]

        def measured(value: int | None) -> float:
            if name is not None and value is not None:
                set_parameter(self.index, name, value)
            found = self.nearest_others(rows, k)
            return float(np.mean([len(truth[at] & set(near.tolist())) / k for at, (_, near) in enumerate(found)]))

        low, high = 0, len(values) - 1
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if measured(values[middle]) >= target else (middle + 1, high)
        value = values[low] if values else None
        kind = replace(
            self.kind, parameter=name, value=value, recall=measured(value), target=target, k=k, queries=len(rows)
        )
        return Base(self.index, self.vectors, self.items, kind)
