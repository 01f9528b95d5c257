"""The library of a niche: build it from vectors, change it, search it, save it as the files of a release and load it again.

It is a base that was built at once, and what changed since: a change computes nothing of the base and writes nothing of it.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from thumblab_core.encoders.protocol import Vectors
from thumblab_core.index.base import Base, FaissIds
from thumblab_core.index.changes import JSON as CHANGES
from thumblab_core.index.changes import Change, Changes
from thumblab_core.index.files import BASE_FILES, named_videos, read_base, read_calibration, write_base
from thumblab_core.index.items import (
    MAX_NEIGHBOURS,
    ROUNDING,
    Item,
    LibraryError,
    Neighbour,
    Only,
    examples_of,
    typical_neighbours,
)
from thumblab_core.index.kinds import AUTO, FLAT_UP_TO, Kind
from thumblab_core.releases.release import Release
from thumblab_core.sub_scores.distribution import ScoreDistribution

_LEAST_CHANGES, _MOST_CHANGES = 100, 1_000
_CALIBRATED_ON = 5_000


class NicheIndex:
    """The library of one niche in one encoder's space. Searching is safe from many threads; nothing here mutates."""

    def __init__(
        self,
        base: Base,
        changes: Changes,
        calibration: npt.NDArray[np.float32],
        encoder: str,
        scores: ScoreDistribution | None = None,
        digests: Mapping[str, str] | None = None,
    ) -> None:
        self._base = base
        self.changes = changes
        self._calibration = calibration
        self.encoder = encoder
        self.scores = scores
        self._digests = digests
        self._replaced = np.zeros(len(base), np.bool_)
        self._replaced[[base.row_of[e.video_id] for e in changes.entries if e.video_id in base.row_of]] = True
        self._gone = int(self._replaced.sum())
        self._count = len(base) - self._gone + len(changes.items)

    def __len__(self) -> int:
        return self._count

    def __contains__(self, video_id: str) -> bool:
        return self._position(video_id) is not None

    @property
    def dimension(self) -> int:
        return self._base.dimension

    @property
    def calibrated(self) -> bool:
        """Whether there is a distribution to place a picture in: of a library that was built of two thumbnails or more."""
        return len(self) > 1 and len(self._calibration) > 0

    @property
    def kind(self) -> Kind:
        return self._base.kind

    @cached_property
    def items(self) -> tuple[Item, ...]:
        """In the order of `vectors`."""
        kept = (item for item, replaced in zip(self._base.items, self._replaced, strict=True) if not replaced)
        return (*kept, *self.changes.items)

    def vectors(self) -> Vectors:
        """The vectors in the order of `items`, float32 [n, d]."""
        return np.concatenate([np.asarray(self._base.vectors)[~self._replaced], self.changes.vectors])

    def vector_of(self, video_id: str) -> Vectors:
        """The vector [d] of a video. Raises `LibraryError` for one that is not in the library."""
        row = self._position(video_id)
        if row is None:
            raise LibraryError(f"{video_id} is not in this library")
        return self._vector(row)

    @classmethod
    def build(
        cls,
        vectors: Vectors,
        items: Sequence[Item],
        encoder: str,
        scores: ScoreDistribution | None = None,
        factory: str = AUTO,
        recall: float = 0.99,
    ) -> "NicheIndex":
        """From unit vectors, float32 [n, d], n items in the same order, and how they are spread over the sub-scores.

        `factory` is one of FAISS, or `auto`, see `Base.build`. Raises `LibraryError`.
        """
        base = Base.build(vectors, items, factory, recall)
        return cls(base, Changes.none(base.dimension), _leave_one_out(base), encoder, scores)

    def changed(self, changes: Iterable[tuple[Change, Vectors | None]]) -> "NicheIndex":
        """With videos put in, put anew or taken out, in this order; nothing of the base is computed or written again.

        Raises `LibraryError` for a vector that cannot stand here. See `overdue` for how many changes are too many.
        """
        wanted = list(changes)
        for change, vector in wanted:
            if (change.item is None) != (vector is None):
                raise LibraryError(f"{change.video_id}: a vector goes with what is put in, and with nothing else")
            if vector is not None:
                self._checked(vector, change.video_id)
        found = self.changes.with_all(wanted)
        return NicheIndex(self._base, found, self._calibration, self.encoder, self.scores, self._digests)

    @property
    def overdue(self) -> str | None:
        """Why it should be built anew: more has changed than is searched beside the base without being felt."""
        most = min(max(_LEAST_CHANGES, len(self._base) // 10), _MOST_CHANGES, len(self._base) if self.calibrated else 0)
        if len(self.changes) <= most:
            return None
        return f"{len(self.changes)} videos changed since {len(self._base)} were built at once, and {most} may"

    def search(self, vector: Vectors, k: int, only: Only | None = None) -> list[Neighbour]:
        """The k nearest items (fewer when there are fewer) to a unit vector [d], nearest first. With `only`, every video it
        admits is compared, however few they are."""
        self._checked(vector, "the query")
        if only is None or only == Only():
            similarities, rows = self._nearest(vector, k)
        else:
            admitted = np.array([row for row, item in self._numbered() if only.admits(item)], np.int64)
            similarities, rows = self._best(self._similarities(admitted, vector), admitted, k)
        base, items = len(self._base), self._base.items
        return [
            Neighbour(items[row] if row < base else self.changes.items[row - base], similarity)
            for row, similarity in zip(rows.tolist(), similarities.tolist(), strict=True)
        ]

    def examples(self, vector: Vectors, k: int) -> list[Neighbour]:
        """The k nearest winners, see `examples_of`."""
        return examples_of(self.search(vector, min(len(self), max(k * 8, MAX_NEIGHBOURS))), k)

    def percentile(self, vector: Vectors) -> float:
        """How at home a unit vector [d] is in the library, 0 to 100.

        The mean cosine to the k nearest items, placed in the distribution of the same statistic over the items the library
        was built of (each against all others). k is a tenth of the library, at most 200. A library of fewer than two
        raises `LibraryError`.
        """
        if not self.calibrated:
            raise LibraryError("a library of fewer than two thumbnails has no distribution to compare with")
        self._checked(vector, "the query")
        similarities, _ = self._nearest(vector, typical_neighbours(len(self)))
        below = np.searchsorted(self._calibration, similarities.mean() + ROUNDING, side="right")
        return float(below / len(self._calibration) * 100.0)

    def describe(self) -> dict[str, Any]:
        """What a manifest says of it."""
        return {
            "encoder": self.encoder,
            "dimension": self.dimension,
            "count": len(self),
            "metric": "inner product of unit vectors (cosine)",
            "faiss": self.kind.factory,
            "search": self.kind.as_json(),
            "built_at_once": len(self._base),
            "changed_since": len(self.changes),
        }

    def save(self, folder: Path) -> None:
        """Write the files of a release into an empty folder."""
        write_base(self._base, self._calibration, folder)
        if self.scores is not None:
            self.scores.save(folder)
        if self.changes.entries:
            self.changes.save(folder)

    def save_changes(self, folder: Path) -> None:
        """Write what differs from the release that the base came from; the store takes over the rest."""
        self.changes.save(folder)

    @staticmethod
    def video_ids(release: Release) -> set[str]:
        """Which videos the files of a release name, taken out or not, without loading its vectors."""
        found = named_videos(release)
        if CHANGES in release.files:
            found |= {entry["video_id"] for entry in json.loads((release.path / CHANGES).read_bytes())}
        return found

    @classmethod
    def load(cls, release: Release, beside: "NicheIndex | None" = None) -> "NicheIndex":
        """Load and verify a release. Raises `LabError` when a file is damaged or disagrees with the manifest.

        Files that are those `beside` was loaded from are neither read nor verified again: what it holds is what they say.
        """
        digests = {name: release.files[name] for name in BASE_FILES if name in release.files}
        try:
            dimension, count, encoder = (release.info[name] for name in ("dimension", "count", "encoder"))
        except KeyError as error:
            raise LibraryError(f"{release}: the manifest says nothing of its {error}") from None
        if beside is not None and beside._digests == digests:
            release.verify(known=digests)
            base, calibration = beside._base, beside._calibration
        else:
            release.verify()
            base, calibration = read_base(release), read_calibration(release)
        changes = Changes.none(base.dimension)
        if CHANGES in release.files:
            changes = Changes.load(release.path, base.dimension)
        found = cls(base, changes, calibration, str(encoder), ScoreDistribution.load(release), digests)
        if found.dimension != dimension or len(found) != count:
            raise LibraryError(f"{release} holds {len(found)}x{found.dimension}, not {count}x{dimension}")
        return found

    def _nearest(self, query: Vectors, k: int) -> tuple[Vectors, FaissIds]:
        """Cosines and positions of the k nearest that are there."""
        k = min(k, len(self))
        if not self.changes.entries:
            return self._base.nearest(query, k)
        # Those that were replaced are found like others and dropped: more are asked for, the next time twice as many.
        wanted = k + min(self._gone, 16)
        while True:
            similarities, rows = self._base.nearest(query, wanted)
            there = ~self._replaced[rows]
            if there.sum() >= k or wanted >= len(self._base):
                break
            wanted *= 2
        beside = np.arange(len(self.changes.items)) + len(self._base)
        return self._best(
            np.concatenate([similarities[there], self.changes.vectors @ query]),
            np.concatenate([rows[there], beside]),
            k,
        )

    @staticmethod
    def _best(similarities: Vectors, rows: FaissIds, k: int) -> tuple[Vectors, FaissIds]:
        nearest = np.argsort(-similarities, kind="stable")[:k]
        return similarities[nearest], rows[nearest]

    def _similarities(self, rows: FaissIds, query: Vectors) -> Vectors:
        old = rows[rows < len(self._base)]
        new = rows[len(old) :] - len(self._base)
        return np.concatenate([self._base.vectors[old] @ query, self.changes.vectors[new] @ query])

    def _numbered(self) -> Iterable[tuple[int, Item]]:
        """Every item that is there with its position: a row of the base, or after them one of the changes."""
        yield from ((row, self._base.items[row]) for row in np.flatnonzero(~self._replaced).tolist())
        yield from enumerate(self.changes.items, start=len(self._base))

    def _position(self, video_id: str) -> int | None:
        for row, item in enumerate(self.changes.items, start=len(self._base)):
            if item.video_id == video_id:
                return row
        row = self._base.row_of.get(video_id, -1)
        return row if row >= 0 and not self._replaced[row] else None

    def _vector(self, row: int) -> Vectors:
        if row < len(self._base):
            return np.asarray(self._base.vectors[row])
        found: Vectors = self.changes.vectors[row - len(self._base)]
        return found

    def _checked(self, vector: Vectors, what: str) -> None:
        if vector.shape != (self.dimension,):
            raise LibraryError(
                f"{what}: a vector of {vector.shape} does not belong in a library of dimension {self.dimension}"
            )
        if not np.isfinite(vector).all():
            raise LibraryError(f"{what}: a vector with numbers that are none")


def _leave_one_out(base: Base) -> npt.NDArray[np.float32]:
    """Sorted: for each vector, its mean cosine to the k nearest of the others; for 5,000 of them where there are more."""
    count = len(base)
    if count < 2:
        return np.zeros(0, np.float32)
    rows = np.arange(count)
    if count > FLAT_UP_TO:
        rows = np.sort(np.random.default_rng(0).choice(count, _CALIBRATED_ON, replace=False))
    k = min(typical_neighbours(count), count - 1)
    return np.sort(np.array([near.mean() for near, _ in base.nearest_others(rows, k)], np.float32))
