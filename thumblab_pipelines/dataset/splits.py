"""Assign each video to a part by time, and to a fold by channel.

The parts (training, validation and test) divide the videos of each channel by date. A model that was trained on the
training part is evaluated on later videos of the same channels. Each fold contains whole channels. For each fold, a
model is trained on the two other folds. This model is evaluated on the channels of the left-out fold, which it has not
seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Float64s

if TYPE_CHECKING:
    import pandas as pd

TRAIN, VALIDATION, TEST = "train", "validation", "test"
PARTS = (TRAIN, VALIDATION, TEST)
MIXED = "mixed"
"""The part of a pair whose two videos are in different parts. Only the evaluation on unseen channels uses such
pairs."""

FOLDS = 3
_TRAIN_SHARE, _VALIDATION_SHARE = 0.68, 0.12

Columns = npt.NDArray[Any]


def place_in_channel(corpus: pd.DataFrame) -> Float64s:
    """Return the place of each video [n] among its channel's videos by date, as a number between 0 and 1.

    The rows of the corpus must be sorted by date. The k-th of m videos of a channel has the place (k - 0.5) / m.
    """
    place = corpus.groupby("channel_id").cumcount().to_numpy(float) + 0.5
    return np.asarray(place / corpus.groupby("channel_id").channel_id.transform("size").to_numpy(float), np.float64)


def split_by_time(corpus: pd.DataFrame) -> Columns:
    """Return the part of each video [n]. The rows of the corpus must be sorted by date.

    In each channel, the first 68 % of the videos are for training, the next 12 % for validation, and the last 20 % for
    testing.
    """
    place = place_in_channel(corpus)
    parts = np.where(
        place <= _TRAIN_SHARE, TRAIN, np.where(place <= _TRAIN_SHARE + _VALIDATION_SHARE, VALIDATION, TEST)
    )
    return np.asarray(parts, dtype=object)


def split_by_channel(corpus: pd.DataFrame) -> Columns:
    """Return the fold of each video [n], 0 to 2. All videos of a channel are in one fold, and the folds have similar
    sizes."""
    sizes = corpus.groupby("channel_id").size().sort_index().sort_values(ascending=False, kind="stable")
    videos_in_fold = np.zeros(FOLDS, int)
    fold = {}
    for channel, size in sizes.items():
        fold[channel] = int(videos_in_fold.argmin())
        videos_in_fold[fold[channel]] += size
    return corpus.channel_id.map(fold).to_numpy(int)
