"""What a model is fitted to: rows, which of two rows won, and what else is known of a row."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Float32s, Rows
from thumblab_core.errors import LabError


@dataclass(frozen=True)
class TrainingArrays:
    """n rows to learn from.

    `inputs` [n, d]; `engagement` [n] and `sub_scores` [n, k] from 0 to 1, NaN where unknown. Pairs are row numbers:
    `winners` and `losers` [p] to train on, `held_winners` and `held_losers` [v] to validate on, which may be none.
    `weights` [p]: how much a pair counts; `margins` [p]: how far apart its labels are, for `TrainConfig.least_margin`.
    `measured`: the engagement is a rate that was measured, and no label to be smoothed.
    """

    inputs: Float32s
    winners: Rows
    losers: Rows
    engagement: Float32s
    sub_scores: Float32s
    held_winners: Rows = field(default_factory=lambda: np.empty(0, np.intp))
    held_losers: Rows = field(default_factory=lambda: np.empty(0, np.intp))
    weights: Float32s | None = None
    margins: Float32s | None = None
    measured: bool = False

    def pairs(self, least_margin: float) -> tuple[Rows, Rows, Float32s]:
        """Winners, losers and weights of the pairs that are clear enough. Raises `LabError` when there are none."""
        weights = np.ones(len(self.winners), np.float32) if self.weights is None else self.weights
        chosen = weights > 0
        if self.margins is not None:
            chosen &= self.margins >= least_margin
        if not chosen.any():
            raise LabError("no training pair is clear enough to learn from; collect more videos per channel")
        return self.winners[chosen], self.losers[chosen], weights[chosen]

    def arrays(self) -> list[npt.NDArray[np.float32] | Rows]:
        return [value for value in vars(self).values() if isinstance(value, np.ndarray)]
