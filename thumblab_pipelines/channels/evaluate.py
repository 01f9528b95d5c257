"""Whether a channel's history helps: learnt from the first 80 % of its videos, and asked for pairs of the last 20 %."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from thumblab_core.images.stored_hashes import known_hashes
from thumblab_pipelines.dataset.near_duplicates import Pictures
from thumblab_pipelines.dataset.pairing import pair_up
from thumblab_pipelines.dataset.splits import TEST, TRAIN
from thumblab_pipelines.statistics.metrics import interval_over_videos, pair_wins

if TYPE_CHECKING:
    from thumblab_pipelines.channels.adapter import Own

LEAST_PAIRS = 20
"""On fewer pairs than these nothing is said."""

_KNOWN_SHARE = 0.8
_SAME_FILE = 1.01  # a cosine that no two vectors have


@dataclass(frozen=True)
class AdapterEvaluation:
    """AUC on the pairs of the channel's newest videos, with its history up to then and without.

    `gained` is their difference, `low` and `high` its 95 % interval over the channel's videos.
    """

    pairs: int
    adapted: float
    unadapted: float
    gained: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """Whether it helps, in a sentence."""
        figures = (
            f"AUC {self.adapted:.2f} with the history and {self.unadapted:.2f} without, on {self.pairs} pairs of its newest "
            f"videos ({self.gained:+.2f}, 95 % interval {self.low:+.2f} to {self.high:+.2f})"
        )
        if self.gained <= 0:
            return f"It does not help: {figures}"
        return f"It helps: {figures}" if self.low > 0 else f"It seems to help, but that may be chance: {figures}"


def evaluate_adapter(
    own: Own,
    images: npt.NDArray[np.floating],
    threshold: float | None,
    pair_days: float,
    trained_on: npt.NDArray[np.bool_] | None = None,
) -> AdapterEvaluation | None:
    """Judge the history of a channel, whose pictures are the vectors `images` [n, d], on its newest fifth. None where that
    makes too few pairs, or the rest no history.

    A newer video whose picture is a near-duplicate of an older one (a cosine from `threshold`) is not asked for: it would be
    known already. Nor is one that the model itself was `trained_on` [n], None where that is not known: it is no news to the
    scores without the history either. Pairs are at most `pair_days` apart.
    """
    count = len(own.videos)
    first, last = np.arange(int(_KNOWN_SHARE * count)), np.arange(int(_KNOWN_SHARE * count), count)
    adapter = own.fit(first)
    if adapter is None:
        return None
    hashes = known_hashes(own.videos.phash)
    pictures = Pictures(own.videos.sha256.tolist(), hashes, images.astype(np.float32), threshold or _SAME_FILE)
    asked = last[~pictures.any_alike(last, first)]
    if trained_on is not None:
        asked = asked[~trained_on[asked]]
    part = np.full(count, TRAIN, object)
    part[asked] = TEST
    pairs = pair_up(own.videos.assign(part=part), pair_days)
    pairs = pairs[pairs.part == TEST]
    if len(pairs) < LEAST_PAIRS:
        return None
    winners, losers = pairs.winner.to_numpy(np.intp), pairs.loser.to_numpy(np.intp)
    plain = pair_wins(own.scores, winners, losers)
    adapted = pair_wins(adapter.adjust(own.inputs, own.scores), winners, losers)
    low, high = interval_over_videos(adapted - plain, winners, losers)
    return AdapterEvaluation(
        len(pairs), float(adapted.mean()), float(plain.mean()), float((adapted - plain).mean()), low, high
    )
