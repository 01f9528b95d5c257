"""Choose the words for how sure the lab is of a winner: clear, leaning or too close to call.

The words depend on the whole percentage that is shown, so that words and percentage agree.
"""

import numpy as np
import numpy.typing as npt

CLEAR, LEANING = 75, 60
"""Minimum win probabilities of a clear and of a leaning winner, in whole percent. Below 60, it is too close to call."""


def percent(probability: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return probabilities from 0 to 1 as whole percentages. Halves are rounded up, as a browser does."""
    return np.floor(100 * np.asarray(probability, np.float64) + 0.5).astype(np.int64)


def is_too_close(probability: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Return whether a pair is too close to call.

    `probability` is the win probability of the better video of the pair, 0.5 to 1.
    """
    return np.asarray(percent(probability) < LEANING, np.bool_)
