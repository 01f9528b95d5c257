"""Number all items of a library, and find items by their numbers, called positions.

The items of the base come first: the position of such an item is its row in the base. The items of the changes follow:
the position of such an item is the length of the base plus its row in the changes.
"""

from collections.abc import Iterator

import numpy as np

from thumblab_core.encoders.protocol import Vectors
from thumblab_core.index.base import Base, FaissIds
from thumblab_core.index.changes import Changes
from thumblab_core.index.filters import Columns, Filter
from thumblab_core.index.items import Item, Neighbour


class Positions:
    """The present items of a library. The items of the base come first, except items that `changes` replaced or took
    out. The items of the changes follow.

    The object never changes, and many threads may use it at the same time. `kept` [len(base)] is False for each row of
    the base that was replaced or taken out.
    """

    def __init__(self, base: Base, changes: Changes) -> None:
        self._base = base
        self._changes = changes
        self.kept = np.ones(len(base), np.bool_)
        self.kept[[base.row_of[e.video_id] for e in changes.entries if e.video_id in base.row_of]] = False
        self._replaced_count = len(base) - int(self.kept.sum())
        self._count = len(base) - self._replaced_count + len(changes.items)

    def __len__(self) -> int:
        return self._count

    def of(self, video_id: str) -> int | None:
        """Return the position of a video, or None if the video is not in the library."""
        for position, item in enumerate(self._changes.items, start=len(self._base)):
            if item.video_id == video_id:
                return position
        row = self._base.row_of.get(video_id, -1)
        return row if row >= 0 and self.kept[row] else None

    def item_at(self, position: int) -> Item:
        base = len(self._base)
        return self._base.items[position] if position < base else self._changes.items[position - base]

    def items(self) -> tuple[Item, ...]:
        """Return all items in the order of their positions."""
        kept = (item for item, kept in zip(self._base.items, self.kept, strict=True) if kept)
        return (*kept, *self._changes.items)

    def vectors(self) -> Vectors:
        """Return all vectors in the order of `items`, float32 [n, d]."""
        return np.concatenate([np.asarray(self._base.vectors)[self.kept], self._changes.vectors])

    def vectors_at(self, positions: FaissIds) -> Vectors:
        """Return the vectors of the items at `positions`, float32 [m, d]."""
        vectors = np.empty((len(positions), self._base.dimension), np.float32)
        old = positions < len(self._base)
        vectors[old] = self._base.vectors[positions[old]]
        vectors[~old] = self._changes.vectors[positions[~old] - len(self._base)]
        return vectors

    def neighbours(self, similarities: Vectors, positions: FaissIds) -> Iterator[Neighbour]:
        """Yield the items at `positions`, with the cosines in `similarities`."""
        for position, similarity in zip(positions.tolist(), similarities.tolist(), strict=True):
            yield Neighbour(self.item_at(position), similarity)

    def admitted(self, only: Filter) -> FaissIds:
        """Return the positions of the items that `only` admits, in rising order."""
        base = self._base.columns.admitted(only) & self.kept
        admitted = np.flatnonzero(np.concatenate([base, Columns(self._changes.items).admitted(only)]))
        left_out = None if only.not_video is None else self.of(only.not_video)
        return admitted if left_out is None else admitted[admitted != left_out]

    def nearest(self, query: Vectors, k: int) -> tuple[Vectors, FaissIds]:
        """Return cosines and positions of the k items nearest to a unit vector [d], nearest first."""
        k = min(k, len(self))
        if not self._changes.entries:
            return self._base.nearest(query, k)
        # The base also finds rows whose videos were later replaced or taken out. These rows are dropped below, so more
        # than k rows are requested from the base. If fewer than k rows remain, twice as many rows are requested.
        asked = k + min(self._replaced_count, 16)
        while True:
            similarities, rows = self._base.nearest(query, asked)
            kept = self.kept[rows]
            if kept.sum() >= k or asked >= len(self._base):
                break
            asked *= 2
        changed = np.arange(len(self._changes.items)) + len(self._base)
        return _best(
            np.concatenate([similarities[kept], self._changes.vectors @ query]),
            np.concatenate([rows[kept], changed]),
            k,
        )

    def nearest_of(self, positions: FaissIds, query: Vectors, k: int) -> tuple[Vectors, FaissIds]:
        """Return cosines and positions of the k items nearest to the query, among the items at `positions`.

        The query is compared with each of these items, so the result is exact. `positions` must be in rising order.
        """
        first_change = int(np.searchsorted(positions, len(self._base)))
        similarities, rows = self._base.nearest_among(positions[:first_change], query, k)
        changed = positions[first_change:]
        of_changes = self._changes.vectors[changed - len(self._base)] @ query
        return _best(np.concatenate([similarities, of_changes]), np.concatenate([rows, changed]), k)


def _best(similarities: Vectors, positions: FaissIds, k: int) -> tuple[Vectors, FaissIds]:
    nearest = np.argsort(-similarities, kind="stable")[:k]
    return similarities[nearest], positions[nearest]
