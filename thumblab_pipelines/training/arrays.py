"""Define the arrays to which a model is fitted: inputs, pairs, and targets for engagement and sub-scores."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Float32s, Rows
from thumblab_core.errors import LabError
from thumblab_pipelines.statistics.mixed_rows import MixedRows


@dataclass(frozen=True)
class TrainingArrays:
    """The n rows from which a model learns.

    `inputs` [n, d] are the inputs. `engagement` [n] and `sub_scores` [n, k] are targets between 0 and 1, or NaN where
    unknown.

    Pairs are given by row numbers. `winners` [p] and `losers` [p]: the training pairs. `held_winners` [v] and
    `held_losers` [v]: the validation pairs, where v may be 0. `weights` [p]: the weight of each training pair in the
    loss. `margins` [p]: how clearly each pair was won, 0 to 1. Pairs with a margin below `TrainConfig.least_margin` are
    not used. `measured`: whether engagement is a measured click-through rate. Label smoothing is not applied to
    measured rates.
    """

    inputs: Float32s | MixedRows
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
        """Return the winners, losers and weights of all training pairs with a positive weight and a sufficient margin.

        Raises `LabError` when there is no such pair.
        """
        weights = np.ones(len(self.winners), np.float32) if self.weights is None else self.weights
        chosen = weights > 0
        if self.margins is not None:
            chosen &= self.margins >= least_margin
        if not chosen.any():
            raise LabError("no training pair is clear enough to learn from; collect more videos per channel")
        return self.winners[chosen], self.losers[chosen], weights[chosen]

    def arrays(self) -> list[npt.NDArray[Any]]:
        """Return the arrays of all fields. `training_digest` is computed from these arrays, in this order."""
        inputs = MixedRows.of(self.inputs).buffers()
        return inputs + [value for value in list(vars(self).values())[1:] if isinstance(value, np.ndarray)]
