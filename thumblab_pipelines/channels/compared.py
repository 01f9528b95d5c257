"""Read the one-video pairs of one channel, for the adapter of this channel.

A one-video pair is two pictures that were compared on the same video, for example in an experiment. The pairs come from
the training part of the newest pairs release. This release contains one-video pairs only of channels with videos in the
corpus. If a channel has no video in the corpus, its adapter does not learn from its experiments.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Flags
from thumblab_core.ranking.adapters import ComparedPictures
from thumblab_core.releases.release import ALL, PAIRS
from thumblab_pipelines.dataset.one_video import PAIRS_FILE, VECTORS_FILE, OneVideoPairs, read_pair_vectors
from thumblab_pipelines.dataset.retained_pairs import holding_pairs, newest_pairs
from thumblab_pipelines.dataset.splits import TRAIN
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.training.one_video_inputs import compared

if TYPE_CHECKING:
    from thumblab_core.ranking.trained_ranker import TrainedRanker


@dataclass(frozen=True)
class ChannelPictures:
    """The k one-video pairs of one channel: the pictures, and the ids of the videos [k]."""

    video_ids: npt.NDArray[np.str_]
    pictures: ComparedPictures

    def __len__(self) -> int:
        return len(self.video_ids)

    @classmethod
    def none(cls, dimension: int) -> ChannelPictures:
        """Return the `ChannelPictures` of a channel that has no pairs. `dimension`: number of the model's inputs."""
        nothing = np.zeros((0, dimension), np.float32)
        return cls(np.zeros(0, str), ComparedPictures(nothing, nothing, *[np.zeros(0)] * 3))

    def without(self, video_ids: Collection[str]) -> ComparedPictures:
        """Return all pairs except the pairs of the videos `video_ids`."""
        kept: Flags = ~np.isin(self.video_ids, list(video_ids))
        of = self.pictures
        return ComparedPictures(of.first[kept], of.second[kept], of.score_gaps[kept], of.gaps[kept], of.variances[kept])


def read_compared(lab: Lab, channel_id: str, ranker: TrainedRanker) -> ChannelPictures:
    """Return the pairs of pictures that the adapter of a channel may learn from, with the model's inputs and scores.

    A pair is left out if the lab does not have its vectors from the model's encoders, for example because its video was
    deleted. Raises `LabError` if the newest pairs release is damaged.
    """
    config = ranker.model.config
    known = _newest_pairs(lab)
    if known is None:
        return ChannelPictures.none(config.inputs)
    chosen = known.only((known.pairs.channel_id.eq(channel_id) & known.pairs.part.eq(TRAIN)).to_numpy(bool))
    images, titles, complete = read_pair_vectors(lab, chosen.pairs, config.image_encoder, config.title_encoder)
    one_video = OneVideoPairs(chosen.pairs, images, titles).only(complete)
    if not len(one_video):
        return ChannelPictures.none(config.inputs)
    return ChannelPictures(one_video.pairs.video_id.to_numpy(str), compared(one_video, ranker.model))


def _newest_pairs(lab: Lab) -> OneVideoPairs | None:
    """Return the one-video pairs of the newest pairs release. Return None if there is no pairs release, or if the
    release has no one-video pairs."""
    if lab.releases.latest(PAIRS, ALL) is None:
        return None
    with holding_pairs(lab):
        release = newest_pairs(lab)
        if PAIRS_FILE not in release.files:
            return None
        # Only the one-video pairs are read. So the large files, which may take gigabytes, are not verified.
        release.verify({name: sha for name, sha in release.files.items() if name not in (PAIRS_FILE, VECTORS_FILE)})
        return OneVideoPairs.load(release)
