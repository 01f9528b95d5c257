"""The library of a niche: build it from vectors, change it, search it, save it as a release and load it.

A library consists of a base, which was built in one step, and of the changes since then. When a library is changed, its
base is neither computed nor written again.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from thumblab_core.encoders.protocol import Vectors
from thumblab_core.index.base import Base
from thumblab_core.index.changes import JSON as CHANGES
from thumblab_core.index.changes import Change, Changes
from thumblab_core.index.files import BASE_FILES, named_videos, read_base, read_calibration, write_base
from thumblab_core.index.filters import ChannelName, Filter
from thumblab_core.index.items import (
    MAX_NEIGHBOURS,
    Found,
    Item,
    LibraryError,
    Neighbour,
    PublishedBetween,
    examples_of,
    percentile_among,
    typical_neighbours,
)
from thumblab_core.index.kinds import AUTO, IndexKind
from thumblab_core.index.positions import Positions
from thumblab_core.index.typicality import MeanCosines, mean_cosines_of
from thumblab_core.releases.release import Release
from thumblab_core.sub_scores.distribution import ScoreDistribution

_LEAST_CHANGES, _MOST_CHANGES = 100, 1_000
"""The smallest and the largest value of the limit for the number of changes in a library, see `NicheIndex.overdue`."""


class NicheIndex:
    """The library of one niche, with vectors of one encoder.

    It never changes, and many threads may search it at the same time.
    """

    def __init__(
        self,
        base: Base,
        changes: Changes,
        calibration: MeanCosines,
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
        self._positions = Positions(base, changes)

    def __len__(self) -> int:
        return len(self._positions)

    def __contains__(self, video_id: str) -> bool:
        return self._positions.of(video_id) is not None

    @property
    def dimension(self) -> int:
        return self._base.dimension

    @property
    def calibrated(self) -> bool:
        """Whether `percentile` can be computed. The library and its base must each have at least two thumbnails."""
        return len(self) > 1 and len(self._calibration) > 0

    @property
    def kind(self) -> IndexKind:
        return self._base.kind

    @cached_property
    def items(self) -> tuple[Item, ...]:
        """All items: first the items of the base, then the items of the changes."""
        return self._positions.items()

    def prepare(self) -> None:
        """Compute in advance what a search with a filter needs. This takes about a second in a large library."""
        self._base.columns  # noqa: B018  (computed on first access, then kept)
        self._base.projection  # noqa: B018

    def has_videos_by(self, channel: ChannelName) -> bool:
        """Return whether the library has a video of the channel."""
        return len(self._positions.admitted(Filter(not_by=channel))) < len(self)

    def vectors(self) -> Vectors:
        """Return the vectors in the order of `items`, float32 [n, d]."""
        return self._positions.vectors()

    def vector_of(self, video_id: str) -> Vectors:
        """Return the vector [d] of a video. Raises `LibraryError` if the video is not in the library."""
        position = self._positions.of(video_id)
        if position is None:
            raise LibraryError(f"{video_id} is not in this library")
        vector: Vectors = self._positions.vectors_at(np.array([position]))[0]
        return vector

    def item_of(self, video_id: str) -> Item | None:
        """Return the item of a video, or None if the video is not in the library."""
        position = self._positions.of(video_id)
        return None if position is None else self._positions.item_at(position)

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
        """Build a library from unit vectors, float32 [n, d], and n items in the same order.

        `scores` is the distribution of the items' sub-scores. `factory` names the FAISS index. `recall` is the share of
        the nearest vectors that a search must find. Raises `LibraryError` in the same cases as `Base.build`.
        """
        base = Base.build(vectors, items, factory, recall)
        return cls(base, Changes.none(base.dimension), mean_cosines_of(base), encoder, scores)

    def changed(self, changes: Iterable[tuple[Change, Vectors | None]]) -> "NicheIndex":
        """Return a new library, to which `changes` were applied in their order.

        A change adds, replaces or takes out a video. A change with an item comes with its unit vector [d]. A change
        without an item comes with None. Raises `LibraryError` if a vector is missing, has another dimension than the
        library, or is not finite.
        """
        changes = list(changes)
        for change, vector in changes:
            if (change.item is None) != (vector is None):
                raise LibraryError(
                    f"{change.video_id}: give a vector if the change has an item, and no vector if it has no item"
                )
            if vector is not None:
                self._require_valid(vector, change.video_id)
        combined = self.changes.with_all(changes)
        return NicheIndex(self._base, combined, self._calibration, self.encoder, self.scores, self._digests)

    @property
    def overdue(self) -> str | None:
        """The reason why the library must be built again. None if no rebuild is needed.

        Changes slow down searches, so their number has a limit. The limit is 10 % of the number of items of the base,
        but at least 100 and at most 1,000. The limit is never above the number of items of the base. The limit is 0 if
        the library is not `calibrated`.
        """
        most = min(max(_LEAST_CHANGES, len(self._base) // 10), _MOST_CHANGES, len(self._base) if self.calibrated else 0)
        if len(self.changes) <= most:
            return None
        return (
            f"{len(self.changes)} videos changed since the library was built of {len(self._base)} videos, and at most "
            f"{most} changes are allowed without a new build"
        )

    def search(self, vector: Vectors, k: int, only: PublishedBetween | None = None) -> list[Neighbour]:
        """Return the k items nearest to a unit vector [d], nearest first.

        If there are fewer than k items, all of them are returned. If `only` limits the days of publication, the vector
        is compared with every video of these days.
        """
        self._require_valid(vector, "the query")
        if only is None or only == PublishedBetween():
            nearest = self._positions.nearest(vector, k)
        else:
            nearest = self._positions.nearest_of(self._positions.admitted(Filter(only)), vector, k)
        return list(self._positions.neighbours(*nearest))

    def find(self, vector: Vectors, k: int, only: Filter) -> Found:
        """Return the k items that `only` admits and that are nearest to a unit vector [d], nearest first.

        If `only` leaves out more than one video, the vector is compared with every admitted item. All admitted
        items are returned if there are fewer than k.
        """
        self._require_valid(vector, "the query")
        if only.admits_all_but_one:
            left_out = None if only.not_video is None else self._positions.of(only.not_video)
            total = len(self) - (left_out is not None)
            similarities, positions = self._positions.nearest(vector, k + (left_out is not None))
            kept = positions != (-1 if left_out is None else left_out)
            similarities, positions = similarities[kept][:k], positions[kept][:k]
        else:
            admitted = self._positions.admitted(only)
            total = len(admitted)
            similarities, positions = self._positions.nearest_of(admitted, vector, k)
        vectors = self._positions.vectors_at(positions)
        return Found(list(self._positions.neighbours(similarities, positions)), vectors, total)

    def examples(self, vector: Vectors, k: int) -> list[Neighbour]:
        """Return up to k winners that are near to a unit vector [d], nearest first.

        The winners are chosen from the nearest items: from 200 items, or from `8 * k` items if `8 * k` is above 200. If
        none of these items is a winner, the k nearest items are returned.
        """
        return examples_of(self.search(vector, min(len(self), max(k * 8, MAX_NEIGHBOURS))), k)

    def percentile(self, vector: Vectors) -> float:
        """Return how typical of the library a unit vector [d] is, 0 to 100.

        The mean cosine of the vector to its k nearest items is computed. k is 10 % of the number of items, but at
        most 200. Items of the base were measured in the same way when the base was built. The result is the percentage
        of these items whose mean cosine is at most the mean cosine of the vector. Raises `LibraryError` if the library
        is not `calibrated`.
        """
        if not self.calibrated:
            raise LibraryError("a library of fewer than two thumbnails cannot say how typical a picture is")
        self._require_valid(vector, "the query")
        similarities, _ = self._positions.nearest(vector, typical_neighbours(len(self)))
        return percentile_among(self._calibration, similarities.mean())

    def percentile_of(self, similarities: Sequence[float]) -> float | None:
        """Return the `percentile` of a vector whose cosines to its nearest items are known, nearest first.

        Return None if the percentile needs more cosines, or if the library is not `calibrated`.
        """
        needed = typical_neighbours(len(self))
        if not self.calibrated or len(similarities) < needed:
            return None
        return percentile_among(self._calibration, np.array(similarities[:needed], np.float32).mean())

    def place(self, vector: Vectors, k: int) -> tuple[float, list[Neighbour]]:
        """Return the `percentile` and the `examples` of a unit vector [d]. Both come from one search."""
        if not self.calibrated:
            raise LibraryError("a library of fewer than two thumbnails cannot say how typical a picture is")
        self._require_valid(vector, "the query")
        typical = typical_neighbours(len(self))
        similarities, positions = self._positions.nearest(
            vector, max(typical, min(len(self), max(k * 8, MAX_NEIGHBOURS)))
        )
        percentile = percentile_among(self._calibration, similarities[:typical].mean())
        return percentile, examples_of(self._positions.neighbours(similarities, positions), k)

    def describe(self) -> dict[str, Any]:
        """Return the facts about the library that the manifest of its release stores."""
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
        """Write the files of a release into an empty folder. Raises `OSError` if a file cannot be written."""
        write_base(self._base, self._calibration, folder)
        if self.scores is not None:
            self.scores.save(folder)
        if self.changes.entries:
            self.changes.save(folder)

    def save_changes(self, folder: Path) -> None:
        """Write only the files of the changes into an empty folder.

        The release store links or copies all other files from an earlier release with the same base.
        """
        self.changes.save(folder)

    @staticmethod
    def video_ids(release: Release) -> set[str]:
        """Return all video ids in the files of a release. This function loads no vectors.

        The files also have the ids of videos that were taken out of the library by a change.
        """
        ids = named_videos(release)
        if CHANGES in release.files:
            ids |= {entry["video_id"] for entry in json.loads((release.path / CHANGES).read_bytes())}
        return ids

    @classmethod
    def load(cls, release: Release, beside: "NicheIndex | None" = None) -> "NicheIndex":
        """Verify and load a release. Raises `LabError` if a file is damaged or disagrees with the manifest.

        `beside` is a library that was loaded before. If the release has the same base as `beside`, the files of the
        base are neither read nor verified again.
        """
        digests = {name: release.files[name] for name in BASE_FILES if name in release.files}
        try:
            dimension, count, encoder = (release.info[name] for name in ("dimension", "count", "encoder"))
        except KeyError as error:
            raise LibraryError(f"{release}: the manifest has no {error}") from None
        if beside is not None and beside._digests == digests:
            release.verify(known=digests)
            base, calibration = beside._base, beside._calibration
        else:
            release.verify()
            base, calibration = read_base(release), read_calibration(release)
        changes = Changes.none(base.dimension)
        if CHANGES in release.files:
            changes = Changes.load(release.path, base.dimension)
        library = cls(base, changes, calibration, str(encoder), ScoreDistribution.load(release), digests)
        if library.dimension != dimension or len(library) != count:
            raise LibraryError(
                f"{release} holds vectors of {len(library)}x{library.dimension}, "
                f"but its manifest says {count}x{dimension}"
            )
        return library

    def _require_valid(self, vector: Vectors, name: str) -> None:
        if vector.shape != (self.dimension,):
            raise LibraryError(
                f"{name}: a vector of {vector.shape} does not belong in a library of dimension {self.dimension}"
            )
        if not np.isfinite(vector).all():
            raise LibraryError(f"{name}: the vector holds NaN or infinite numbers")
