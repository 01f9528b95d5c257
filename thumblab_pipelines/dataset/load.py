"""Read a pairs release as tables and arrays, without the videos that were deleted since the release was made."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from thumblab_core.arrays import Flags, Float32s, Rows
from thumblab_core.encoders.protocol import Vectors
from thumblab_core.ranking.title_facts import sparse_title_words, title_facts
from thumblab_core.releases.release import Release
from thumblab_pipelines.dataset.one_video import OneVideoPairs, read_pair_vectors
from thumblab_pipelines.dataset.retained_pairs import deleted_videos
from thumblab_pipelines.dataset.snapshot import Snapshot
from thumblab_pipelines.features.stored_vectors import digests, read_vectors
from thumblab_pipelines.lab import Lab

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Dataset:
    """The n videos of a pairs release and their m pairs.

    Parameters
    ----------
    release
        The release that was read.
    videos
        A row per video [n], in order of publication, with the columns that docs/training-pairs.md lists.
    pairs
        A row per pair [m]. The columns `winner` and `loser` have row numbers of `videos`.
    images, titles
        Unit vectors of the pictures [n, d_i] and of the titles [n, d_t].
    sub_scores
        Sub-scores [n, 6], NaN where not measured.
    forgotten
        How many videos of the release are left out because they were deleted from the lab.
    one_video
        The one-video pairs of the release, without the pairs of deleted videos.
    """

    release: Release
    videos: pd.DataFrame
    pairs: pd.DataFrame
    images: Vectors
    titles: Vectors
    sub_scores: Float32s
    forgotten: int = 0
    one_video: OneVideoPairs = field(default_factory=OneVideoPairs.none)

    @property
    def picture_words(self) -> list[str | None]:
        """The words in each picture [n], or None for a picture that was not searched for words yet."""
        if "picture_words" not in self.videos:
            return [None] * len(self.videos)
        return [words if isinstance(words, str) else None for words in self.videos.picture_words]

    @cached_property
    def title_facts(self) -> Float32s:
        """Facts about each title, see `thumblab_core.ranking.title_facts`. The facts are computed at the first use."""
        return title_facts(self.videos.title.tolist())

    @cached_property
    def title_words(self) -> Any:
        """The hashed words of each title, as a sparse matrix. The matrix is computed at the first use."""
        return sparse_title_words(self.videos.title.tolist())

    @property
    def video_ids(self) -> set[str]:
        """The ids of all videos that the release names: the videos in `videos`, and the videos of one-video pairs."""
        return {*self.videos.video_id.tolist(), *self.one_video.pairs.video_id.tolist()}

    def rows(self, part: str) -> Rows:
        """Return the row numbers of the videos of a part."""
        return np.flatnonzero(self.videos.part.to_numpy(object) == part)

    def learnt(self, part: str) -> Rows:
        """Return the row numbers of the videos of a part, except videos of more than an hour.

        Models are not trained on videos of more than an hour. Such long videos are used only for channel adapters and
        for evaluation.
        """
        return np.flatnonzero((self.videos.part == part).to_numpy(bool) & self.videos.learnt.to_numpy(bool))

    def pairs_within(self, rows: Rows) -> Flags:
        """Return for each pair [m] whether both of its videos are in `rows`."""
        inside = np.zeros(len(self.videos), bool)
        inside[rows] = True
        return np.asarray(
            inside[self.pairs.winner.to_numpy(np.intp)] & inside[self.pairs.loser.to_numpy(np.intp)], bool
        )


def load_dataset(lab: Lab, release: Release, forgotten: Collection[str] | None = None) -> Dataset:
    """Read and verify a pairs release. Leave out the videos that were deleted after the release was made, and the pairs
    of these videos.

    `forgotten`: ids of the deleted videos. By default, these ids are looked up in the database. Raises `LabError` if
    the release is damaged, or if it is from an old version of the lab that stored no vectors in releases.
    """
    import pandas as pd

    release.verify()
    videos = pd.read_parquet(release.path / "videos.parquet")
    pairs = pd.read_parquet(release.path / "pairs.parquet")
    snapshot = Snapshot.load(release, len(videos))
    deleted_ids = deleted_videos(lab, release) if forgotten is None else forgotten
    deleted = videos.video_id.isin(list(deleted_ids)).to_numpy(bool)
    if deleted.any():
        winner, loser = pairs.winner.to_numpy(np.intp), pairs.loser.to_numpy(np.intp)
        new_row, kept = np.cumsum(~deleted) - 1, ~(deleted[winner] | deleted[loser])
        pairs = pairs[kept].assign(winner=new_row[winner[kept]], loser=new_row[loser[kept]]).reset_index(drop=True)
        videos, snapshot = videos[~deleted].reset_index(drop=True), snapshot.only(~deleted)
    return Dataset(
        release,
        videos,
        pairs,
        snapshot.images,
        snapshot.titles,
        snapshot.sub_scores,
        forgotten=int(deleted.sum()),
        one_video=OneVideoPairs.load(release).without_videos(deleted_ids).of_channels(videos.channel_id.unique()),
    )


def with_vectors_of(lab: Lab, data: Dataset, model: Release) -> tuple[Dataset, Flags]:
    """Return the dataset with vectors from the encoders of `model`, and a flag for each video [n].

    The flag is true if the database has both the picture vector and the title vector of the video. A missing vector is
    returned as zeros, also in the one-video pairs.
    """
    ids, (pictures, titles) = data.videos.video_id.tolist(), digests(data.videos)
    encoders = str(model.info["image_encoder"]), str(model.info["title_encoder"])
    images, has_image = read_vectors(lab, ids, pictures, encoders[0])
    title_vectors, has_title = read_vectors(lab, ids, titles, encoders[1])
    compared = read_pair_vectors(lab, data.one_video.pairs, *encoders)
    one_video = replace(data.one_video, images=compared[0], titles=compared[1])
    return replace(data, images=images, titles=title_vectors, one_video=one_video), has_image & has_title
