"""Evaluate how much a channel adapter helps.

The adapter is fitted on the oldest 80 % of the channel's videos. Then the adapter ranks pairs of the newest 20 %.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from thumblab_core.images.stored_hashes import known_hashes
from thumblab_pipelines.dataset.near_duplicates import Pictures
from thumblab_pipelines.dataset.pairing import pair_up
from thumblab_pipelines.dataset.splits import TEST, TRAIN
from thumblab_pipelines.statistics.intervals import DIFFERENCE, SHARE, interval
from thumblab_pipelines.statistics.metrics import pair_wins

if TYPE_CHECKING:
    from thumblab_pipelines.channels.adapter import ChannelData

LEAST_ADAPTER_PAIRS = 20
"""Minimum number of pairs of the channel's newest videos. With fewer pairs, the adapter is not evaluated."""

_KNOWN_SHARE = 0.8
_SAME_FILE = 1.01
"""The threshold for near-duplicates if the model stores none. No cosine similarity reaches this threshold.

So without a stored threshold, near-duplicates are found only by equal files and by perceptual hash.
"""


@dataclass(frozen=True)
class AdapterEvaluation:
    """The AUC with and without an adapter, on pairs of the channel's newest videos.

    The AUC is the share of pairs that are ordered correctly. `videos`, `pairs`: the number of these videos and pairs.
    `adapted`: AUC with an adapter that was fitted on the older videos. `adapted_low`, `adapted_high`: the 95 % interval
    of `adapted`. `unadapted`: AUC of the model alone. `gained`: `adapted` minus `unadapted`. `low`, `high`: the 95 %
    interval of `gained`. An interval shows how much a figure would change with other videos of the channel.
    """

    videos: int
    pairs: int
    adapted: float
    adapted_low: float
    adapted_high: float
    unadapted: float
    gained: float
    low: float
    high: float

    @property
    def own_past(self) -> str:
        """A sentence that says how many of 100 pairs of the channel's newest videos the adapter would have ordered
        correctly.
        """
        return (
            f"On its last {self.videos} videos it would have ordered {100 * self.adapted:.0f} of 100 pairs right "
            f"(95 % interval {100 * self.adapted_low:.0f} to {100 * self.adapted_high:.0f})"
        )

    @property
    def summary(self) -> str:
        """A sentence that says whether the adapter helps, with the two AUCs and the interval of the gain."""
        figures = (
            f"AUC {self.adapted:.2f} with the adapter and {self.unadapted:.2f} without, on {self.pairs} pairs of its newest "
            f"videos ({self.gained:+.2f}, 95 % interval {self.low:+.2f} to {self.high:+.2f})"
        )
        if self.gained <= 0:
            return f"It does not help: {figures}"
        return f"It helps: {figures}" if self.low > 0 else f"It seems to help, but that may be chance: {figures}"


def evaluate_adapter(
    data: ChannelData,
    images: npt.NDArray[np.floating],
    threshold: float | None,
    pair_days: float,
    trained_on: npt.NDArray[np.bool_] | None = None,
) -> AdapterEvaluation | None:
    """Fit an adapter on the older 80 % of the channel's videos, and evaluate it on the newest 20 %.

    Return None if the newest videos make too few pairs, or if the older videos are too few for an adapter.

    A video of the newest 20 % is left out if the model was trained on it. A video is also left out if its picture is a
    near-duplicate of an older video's picture. The predictions for such videos would be too good.

    `images` [n, d]: the picture vectors of the videos. `threshold`: the least cosine at which two pictures count as
    near-duplicates. `pair_days`: the maximum number of days between the two videos of a pair. `trained_on` [n]: whether
    the model was trained on each video, or None if the training videos are not known.
    """
    count = len(data.videos)
    first, last = np.arange(int(_KNOWN_SHARE * count)), np.arange(int(_KNOWN_SHARE * count), count)
    adapter = data.fit(first)
    if adapter is None:
        return None
    hashes = known_hashes(data.videos.phash)
    pictures = Pictures(data.videos.sha256.tolist(), hashes, images.astype(np.float32), threshold or _SAME_FILE)
    held_out = last[~pictures.any_alike(last, first)]
    if trained_on is not None:
        held_out = held_out[~trained_on[held_out]]
    part = np.full(count, TRAIN, object)
    part[held_out] = TEST
    pairs = pair_up(data.videos.assign(part=part), pair_days)
    pairs = pairs[pairs.part == TEST]
    if len(pairs) < LEAST_ADAPTER_PAIRS:
        return None
    winners, losers = pairs.winner.to_numpy(np.intp), pairs.loser.to_numpy(np.intp)
    unadapted = pair_wins(data.scores, winners, losers)
    adapted = pair_wins(adapter.adjust(data.inputs, data.scores), winners, losers)
    one_channel = np.zeros(len(pairs), np.intp)
    adapted_low, adapted_high = interval(adapted, winners, losers, one_channel, SHARE)
    low, high = interval(adapted - unadapted, winners, losers, one_channel, DIFFERENCE)
    return AdapterEvaluation(
        videos=len({*winners.tolist(), *losers.tolist()}),
        pairs=len(pairs),
        adapted=float(adapted.mean()),
        adapted_low=adapted_low,
        adapted_high=adapted_high,
        unadapted=float(unadapted.mean()),
        gained=float((adapted - unadapted).mean()),
        low=low,
        high=high,
    )
