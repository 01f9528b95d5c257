"""Read the pictures that were compared on videos of one channel, for the adapter of this channel.

They come from the one-video pairs of the newest pairs release, of which only the part `TRAIN` is used. A release has no
pairs of a channel without videos in its corpus. So the adapter of such a channel does not learn from its experiments.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Flags
from thumblab_core.ranking.adapters import ComparedPictures
from thumblab_core.releases.release import ALL, PAIRS, Release
from thumblab_pipelines.dataset.load import Dataset
from thumblab_pipelines.dataset.one_video import PAIRS_FILE, VECTORS_FILE, OneVideoPairs, read_pair_vectors
from thumblab_pipelines.dataset.retained_pairs import holding_pairs, newest_pairs
from thumblab_pipelines.dataset.splits import TRAIN
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.training.one_video_inputs import OneVideoInputs

if TYPE_CHECKING:
    from thumblab_core.ranking.trained_ranker import TrainedRanker


@dataclass(frozen=True)
class ChannelPictures:
    """The k pairs of pictures that were compared on videos of one channel, and the ids of these videos [k]."""

    video_ids: npt.NDArray[np.str_]
    pictures: ComparedPictures

    def __len__(self) -> int:
        return len(self.video_ids)

    @classmethod
    def none(cls, dimension: int) -> ChannelPictures:
        """Return an object without pairs. `dimension`: number of the model's inputs."""
        nothing = np.zeros((0, dimension), np.float32)
        return cls(np.zeros(0, str), ComparedPictures(nothing, nothing, *[np.zeros(0)] * 3))

    def without(self, video_ids: Collection[str]) -> ComparedPictures:
        """Return the pairs of all other videos."""
        kept: Flags = ~np.isin(self.video_ids, list(video_ids))
        of = self.pictures
        return ComparedPictures(of.first[kept], of.second[kept], of.score_gaps[kept], of.gaps[kept], of.variances[kept])


def read_compared(lab: Lab, channel_id: str, ranker: TrainedRanker) -> ChannelPictures:
    """Return the pairs of pictures that the adapter of a channel may learn from, with inputs and scores of the model.

    A pair is left out if the lab does not have its vectors of the model's encoders, such as after its video was
    deleted. Raises `LabError` if the newest pairs release is damaged.
    """
    config = ranker.model.config
    newest = _newest_with_pairs(lab)
    if newest is None:
        return ChannelPictures.none(config.inputs)
    release, known = newest
    chosen = known.only((known.pairs.channel_id.eq(channel_id) & known.pairs.part.eq(TRAIN)).to_numpy(bool))
    images, titles, complete = read_pair_vectors(lab, chosen.pairs, config.image_encoder, config.title_encoder)
    one_video = OneVideoPairs(chosen.pairs, images, titles).only(complete)
    if not len(one_video):
        return ChannelPictures.none(config.inputs)
    inputs = OneVideoInputs.of(_without_videos(release, one_video), np.arange(len(one_video)), config.version)
    score_gaps = ranker.model.predict(inputs.first).score - ranker.model.predict(inputs.second).score
    first, second = ranker.model.standardise(inputs.first), ranker.model.standardise(inputs.second)
    gaps, variances = one_video.pairs.gap.to_numpy(float), one_video.pairs.variance.to_numpy(float)
    pictures = ComparedPictures(first, second, score_gaps, gaps, variances)
    return ChannelPictures(one_video.pairs.video_id.to_numpy(str), pictures)


def _newest_with_pairs(lab: Lab) -> tuple[Release, OneVideoPairs] | None:
    """Return the newest pairs release and its one-video pairs. Return None if there are no such pairs."""
    if lab.releases.latest(PAIRS, ALL) is None:
        return None
    with holding_pairs(lab):
        release = newest_pairs(lab)
        if PAIRS_FILE not in release.files:
            return None
        # The other files of the release may take gigabytes and are not read here, so they are not verified.
        release.verify({name: sha for name, sha in release.files.items() if name not in (PAIRS_FILE, VECTORS_FILE)})
        return release, OneVideoPairs.load(release)


def _without_videos(release: Release, one_video: OneVideoPairs) -> Dataset:
    """Return a dataset that has one-video pairs and no videos. `OneVideoInputs` reads only the one-video pairs."""
    import pandas as pd

    nothing = np.zeros((0, 0), np.float32)
    return Dataset(release, pd.DataFrame(), pd.DataFrame(), nothing, nothing, nothing, one_video=one_video)
