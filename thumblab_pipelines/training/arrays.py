"""The arrays that a model is fitted to: inputs, pairs and the targets of the other heads."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Float32s, Rows
from thumblab_core.errors import LabError


@dataclass(frozen=True)
class TrainingArrays:
    """n rows to learn from.

    `inputs` [n, d]; `engagement` [n] and `sub_scores` [n, k] are between 0 and 1, NaN where unknown. Pairs are row
    numbers: `winners` and `losers` [p] to train on, `held_winners` and `held_losers` [v] to validate on; v may be 0.
    `weights` [p]: the weight of each pair in the loss; `margins` [p]: how far apart its labels are, compared with
    `TrainConfig.least_margin`. `measured`: engagement is a measured rate, so label smoothing is not applied to it.
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
        """Return winners, losers and weights of the pairs with a positive weight and at least this margin.

        Raises `LabError` when there are none.
        """
        weights = np.ones(len(self.winners), np.float32) if self.weights is None else self.weights
        chosen = weights > 0
        if self.margins is not None:
            chosen &= self.margins >= least_margin
        if not chosen.any():
            raise LabError("no training pair is clear enough to learn from; collect more videos per channel")
        return self.winners[chosen], self.losers[chosen], weights[chosen]

    def arrays(self) -> list[npt.NDArray[np.float32] | Rows]:
        """Return the fields that are arrays, in order, for `training_digest`."""
        return [value for value in vars(self).values() if isinstance(value, np.ndarray)]
