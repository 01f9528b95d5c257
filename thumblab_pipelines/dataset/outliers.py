"""Videos far off what their channel usually gets: left out of what is learnt from, never of what is judged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from thumblab_core.inclusion import OUTLIER_SIGMAS
from thumblab_pipelines.dataset.splits import TRAIN

if TYPE_CHECKING:
    import pandas as pd

LEAST_VIDEOS = 10
_SIGMA_PER_MAD = 1.4826  # of a normal distribution


def training_outliers(corpus: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """[n] training videos whose `target` is beyond 3 standard deviations of their channel's training videos.

    Held-out videos are never among them, whatever they got: to leave them out by what is to be predicted would flatter the
    figures. The centre is the median and the deviation is that of a normal distribution with the same median absolute
    deviation, because a hit would hide itself in a plain one (of 10 values none is ever beyond 3). Channels of fewer than
    10 training videos have none.
    """
    found = np.zeros(len(corpus), bool)
    train = np.flatnonzero(corpus.part.to_numpy(object) == TRAIN)
    target = corpus.target.iloc[train]
    of_channel = target.groupby(corpus.channel_id.iloc[train])
    distance = (target - of_channel.transform("median")).abs()
    spread = distance.groupby(corpus.channel_id.iloc[train]).transform("median") * _SIGMA_PER_MAD
    enough = of_channel.transform("size") >= LEAST_VIDEOS
    found[train] = (enough & (spread > 0) & (distance > OUTLIER_SIGMAS * spread)).to_numpy(bool)
    return found
