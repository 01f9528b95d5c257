"""Find outliers among the training videos. An outlier has far more or far fewer views than usual for its channel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from thumblab_core.arrays import Flags
from thumblab_core.inclusion import OUTLIER_SIGMAS
from thumblab_pipelines.dataset.splits import TRAIN

if TYPE_CHECKING:
    import pandas as pd

LEAST_VIDEOS = 10
_SIGMA_PER_MAD = 1.4826
"""The standard deviation of a normal distribution, divided by its median absolute deviation."""


def training_outliers(corpus: pd.DataFrame) -> Flags:
    """Return which videos [n] are outliers: training videos whose `target` is far from the targets of their channel.

    An outlier is more than 3 standard deviations from the median. The standard deviation is estimated as 1.4826 times
    the median absolute deviation, because a single extreme value would inflate the plain standard deviation. For
    example, none of 10 values can be more than 3 plain standard deviations from their mean. Channels with fewer than 10
    training videos have no outliers.

    Held-out videos are never marked as outliers. `target` is the value that the model predicts. Without the held-out
    videos with extreme targets, prediction would be easier, and the evaluation would look too good.
    """
    outlier = np.zeros(len(corpus), bool)
    train = np.flatnonzero(corpus.part.to_numpy(object) == TRAIN)
    target = corpus.target.iloc[train]
    by_channel = target.groupby(corpus.channel_id.iloc[train])
    distance = (target - by_channel.transform("median")).abs()
    deviation = distance.groupby(corpus.channel_id.iloc[train]).transform("median") * _SIGMA_PER_MAD
    enough = by_channel.transform("size") >= LEAST_VIDEOS
    outlier[train] = (enough & (deviation > 0) & (distance > OUTLIER_SIGMAS * deviation)).to_numpy(bool)
    return outlier
