"""A pairs release as arrays, without the videos that the lab has forgotten since it was made."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from thumblab_core.encoders.protocol import Vectors
from thumblab_core.releases.release import Release
from thumblab_pipelines.dataset.kept_pairs import deleted_in
from thumblab_pipelines.dataset.snapshot import Snapshot
from thumblab_pipelines.features.vectors import digests, read_vectors
from thumblab_pipelines.lab import Lab

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Dataset:
    """n videos and their pairs.

    `videos` [n rows] as published by `pairs`; `images` [n, d_i] and `titles` [n, d_t] unit vectors; `sub_scores` [n, 6],
    NaN where not measured; `pairs` refer to rows. `forgotten`: how many videos of the release are not among them.
    """

    release: Release
    videos: pd.DataFrame
    pairs: pd.DataFrame
    images: Vectors
    titles: Vectors
    sub_scores: npt.NDArray[np.float32]
    forgotten: int = 0

    def learnt(self, part: str) -> npt.NDArray[np.intp]:
        """The rows of a part that the model itself may learn from; the others are their channels' history only."""
        return np.flatnonzero((self.videos.part == part).to_numpy(bool) & self.videos.learnt.to_numpy(bool))

    def rows(self, part: str) -> npt.NDArray[np.intp]:
        return np.flatnonzero(self.videos.part.to_numpy(object) == part)


def load_dataset(lab: Lab, release: Release, forgotten: Collection[str] | None = None) -> Dataset:
    """Read and verify a pairs release, and leave out the videos that the lab has forgotten since, with their pairs.

    `forgotten`: which these are, where the caller knows. Raises `LabError` when the release is damaged, or of a version
    before vectors were in it.
    """
    import pandas as pd

    release.verify()
    videos = pd.read_parquet(release.path / "videos.parquet")
    pairs = pd.read_parquet(release.path / "pairs.parquet")
    snapshot = Snapshot.load(release, len(videos))
    gone = videos.video_id.isin(list(deleted_in(lab, release) if forgotten is None else forgotten)).to_numpy(bool)
    if gone.any():
        winner, loser = pairs.winner.to_numpy(np.intp), pairs.loser.to_numpy(np.intp)
        place, left = np.cumsum(~gone) - 1, ~(gone[winner] | gone[loser])
        pairs = pairs[left].assign(winner=place[winner[left]], loser=place[loser[left]]).reset_index(drop=True)
        videos, snapshot = videos[~gone].reset_index(drop=True), snapshot.only(~gone)
    return Dataset(
        release, videos, pairs, snapshot.images, snapshot.titles, snapshot.sub_scores, forgotten=int(gone.sum())
    )


def in_spaces_of(lab: Lab, data: Dataset, model: Release) -> tuple[Dataset, npt.NDArray[np.bool_]]:
    """The dataset as the model's encoders see it, and which of its videos they have seen, [n]; the others are zeros."""
    ids, (pictures, words) = data.videos.video_id.tolist(), digests(data.videos)
    images, first = read_vectors(lab, ids, pictures, str(model.info["image_encoder"]))
    titles, second = read_vectors(lab, ids, words, str(model.info["title_encoder"]))
    return replace(data, images=images, titles=titles), first & second
