"""Which part a video is in: by time for the future of known channels, by channel for channels never seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd

TRAIN, VALIDATION, TEST = "train", "validation", "test"
PARTS = (TRAIN, VALIDATION, TEST)
MIXED = "mixed"
"""The part of a pair whose videos are of different parts: for judging whole channels only."""

FOLDS = 3
_TRAIN_SHARE, _VALIDATION_SHARE = 0.68, 0.12

Columns = npt.NDArray[Any]


def split_by_time(corpus: pd.DataFrame) -> Columns:
    """Per channel and in order of publication: the first 68 % train, the next 12 % validate, the last 20 % test."""
    place = corpus.groupby("channel_id").cumcount().to_numpy(float) + 0.5
    share = place / corpus.groupby("channel_id").channel_id.transform("size").to_numpy(float)
    parts = np.where(
        share <= _TRAIN_SHARE, TRAIN, np.where(share <= _TRAIN_SHARE + _VALIDATION_SHARE, VALIDATION, TEST)
    )
    return np.asarray(parts, dtype=object)


def split_by_channel(corpus: pd.DataFrame) -> Columns:
    """[n] fold 0..2: whole channels, dealt so that the folds have about equally many videos."""
    sizes = corpus.groupby("channel_id").size().sort_index().sort_values(ascending=False, kind="stable")
    load = np.zeros(FOLDS, int)
    fold = {}
    for channel, size in sizes.items():
        fold[channel] = int(load.argmin())
        load[fold[channel]] += size
    return corpus.channel_id.map(fold).to_numpy(int)
