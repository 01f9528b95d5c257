"""How sure a win must be. A winner is clear from a win probability of 75 %, and leaning from 60 %. Below 60 %, a pair
is too close to call.

A win probability is first rounded to a whole percentage, which is also the number that people see. So the words never
contradict the number.
"""

import numpy as np
import numpy.typing as npt

CLEAR, LEANING = 75, 60
"""Minimum win probability of a clear winner, and of a leaning winner, in percent."""


def percent(probability: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return probabilities from 0 to 1 as whole percentages. Half a percent is rounded up, as in browsers."""
    return np.floor(100 * np.asarray(probability, np.float64) + 0.5).astype(np.int64)


def is_too_close(probability: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Return whether each pair is too close to call.

    `probability` is the win probability of the picture or video that the model prefers in each pair, 0.5 to 1.
    """
    return np.asarray(percent(probability) < LEANING, np.bool_)
