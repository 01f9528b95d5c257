"""The FAISS library of a niche: build it from vectors, search it, save it as the files of a release and load it again.

Files: `index.faiss` (exact inner product over unit vectors), `items.json` (what to show of a neighbour, in row order),
`calibration.npy` (the library's own distribution of the similarity statistic) and, in all but older releases,
`sub_scores.json` (its distribution of each sub-score).
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from thumblab_core.encoders.protocol import Vectors
from thumblab_core.errors import LabError
from thumblab_core.releases import Release
from thumblab_core.score_distribution import ScoreDistribution

MAX_NEIGHBOURS = 200
_BLOCK = 1024


class LibraryError(LabError):
    """The index cannot be built or read."""


@dataclass(frozen=True)
class Item:
    """One video of the library.

    `outlier_multiple`: its views over the median of its channel's videos in the same age band (`age_band` of the
    database); where the channel has too few of them, its views per hour over the channel's median at any age; None where
    the channel has no baseline.
    """

    video_id: str
    title: str
    channel: str
    url: str | None
    views_per_hour: float
    outlier_multiple: float | None

    @property
    def winner(self) -> bool:
        """At or above what its channel usually gets; a video without a baseline trended on its own."""
        return self.outlier_multiple is None or self.outlier_multiple >= 1.0


@dataclass(frozen=True)
class Neighbour:
    """A library item and its cosine to the query."""

    item: Item
    similarity: float


class NicheIndex:
    """The library of one niche in one encoder's space. Searching is safe from many threads; nothing here mutates."""

    def __init__(
        self,
        index: Any,
        items: Sequence[Item],
        calibration: npt.NDArray[np.float32],
        encoder: str,
        dimension: int,
        scores: ScoreDistribution | None = None,
    ) -> None:
        self._index = index
        self.items = tuple(items)
        self._calibration = calibration
        self.encoder = encoder
        self.dimension = dimension
        self.scores = scores

    def __len__(self) -> int:
        return len(self.items)

    @classmethod
    def build(
        cls, vectors: Vectors, items: Sequence[Item], encoder: str, scores: ScoreDistribution | None = None
    ) -> "NicheIndex":
        """From unit vectors, float32 [n, d], n items in the same order, and how they are spread over the sub-scores."""
        faiss = _faiss()
        if len(vectors) != len(items):
            raise LibraryError(f"{len(vectors)} vectors but {len(items)} items")
        if len({item.video_id for item in items}) != len(items):
            raise LibraryError("a video stands in the library twice")
        index = faiss.IndexFlatIP(vectors.shape[1])
        index.add(np.ascontiguousarray(vectors))
        return cls(index, items, _leave_one_out(vectors), encoder, vectors.shape[1], scores)

    def search(self, vector: Vectors, k: int) -> list[Neighbour]:
        """The k nearest items (fewer when the library is smaller) to a unit vector [d], nearest first."""
        similarities, rows = self._nearest(vector, k)
        return [
            Neighbour(self.items[row], float(s))
            for row, s in zip(rows.tolist(), similarities.tolist(), strict=True)
            if row >= 0
        ]

    def winners(self, vector: Vectors, k: int) -> list[Neighbour]:
        """The k nearest items that did at least as well as their channel usually does."""
        return [n for n in self.search(vector, min(len(self), max(k * 8, MAX_NEIGHBOURS))) if n.item.winner][:k]

    def percentile(self, vector: Vectors) -> float:
        """How at home a unit vector [d] is in the library, 0 to 100.

        The mean cosine to the k nearest items, placed in the distribution of the same statistic over the library's own
        items (each against all others). k is a tenth of the library, at most 200. An empty library raises `LabError`.
        """
        if len(self) < 2:
            raise LibraryError("a library of fewer than two thumbnails has no distribution to compare with")
        similarities, _ = self._nearest(vector, _neighbours(len(self)))
        below = np.searchsorted(self._calibration, similarities.mean(), side="right")
        return float(below / len(self._calibration) * 100.0)

    def vectors(self) -> Vectors:
        """The vectors in row order, float32 [n, d]."""
        found: Vectors = self._index.reconstruct_n(0, len(self))
        return found

    def near_duplicates(self, threshold: float) -> dict[str, list[str]]:
        """For each video, the other videos whose pictures have at least this cosine to its own."""
        vectors = self.vectors()
        limits, _, rows = self._index.range_search(vectors, threshold)
        ids = [item.video_id for item in self.items]
        return {
            ids[i]: [ids[j] for j in rows[limits[i] : limits[i + 1]] if j != i]
            for i in range(len(self))
            if limits[i + 1] - limits[i] > 1
        }

    def save(self, folder: Path) -> None:
        """Write the files of a release into an empty folder."""
        faiss = _faiss()
        faiss.write_index(self._index, str(folder / "index.faiss"))
        (folder / "items.json").write_text(json.dumps([asdict(item) for item in self.items], ensure_ascii=False))
        np.save(folder / "calibration.npy", self._calibration)
        if self.scores is not None:
            self.scores.save(folder)

    @staticmethod
    def video_ids(release: Release) -> set[str]:
        """Which videos a release holds, without loading its vectors."""
        return {item["video_id"] for item in json.loads((release.path / "items.json").read_text())}

    @classmethod
    def load(cls, release: Release) -> "NicheIndex":
        """Load and verify a release. Raises `LabError` when a file is damaged or disagrees with the manifest."""
        faiss = _faiss()
        release.verify()
        index = faiss.read_index(str(release.path / "index.faiss"))
        items = [Item(**item) for item in json.loads((release.path / "items.json").read_text())]
        calibration = np.load(release.path / "calibration.npy", allow_pickle=False)
        dimension, count = int(release.info["dimension"]), int(release.info["count"])
        if index.d != dimension or index.ntotal != count or len(items) != count:
            raise LibraryError(
                f"{release} holds {index.ntotal}x{index.d} and {len(items)} items, not {count}x{dimension}"
            )
        scores = ScoreDistribution.load(release)
        return cls(index, items, calibration, str(release.info["encoder"]), dimension, scores)

    def _nearest(self, vector: Vectors, k: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        if vector.shape != (self.dimension,):
            raise LibraryError(f"a vector of {vector.shape} was compared with a library of dimension {self.dimension}")
        if not len(self):
            return np.zeros(0, np.float32), np.zeros(0, np.int64)
        similarities, rows = self._index.search(np.ascontiguousarray(vector[None]), min(k, len(self)))
        return similarities[0], rows[0]


def _faiss() -> Any:
    import faiss

    # One query is too little work to share: waking a second thread costs up to ten times the search.
    faiss.omp_set_num_threads(1)
    return faiss


def _neighbours(count: int) -> int:
    return min(MAX_NEIGHBOURS, max(1, count // 10))


def _leave_one_out(vectors: Vectors) -> npt.NDArray[np.float32]:
    """Sorted [n]: for each vector, its mean cosine to the k nearest of the others."""
    count = len(vectors)
    if count < 2:
        return np.zeros(0, np.float32)
    k = min(_neighbours(count), count - 1)
    found = np.empty(count, np.float32)
    for start in range(0, count, _BLOCK):
        similarities = vectors[start : start + _BLOCK] @ vectors.T
        rows = np.arange(len(similarities))
        similarities[rows, start + rows] = -np.inf
        found[start : start + _BLOCK] = np.partition(similarities, count - k, axis=1)[:, count - k :].mean(axis=1)
    return np.sort(found)
