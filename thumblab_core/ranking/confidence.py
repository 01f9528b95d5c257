"""How sure the lab says it is of a winner. It depends on the percentage that is shown, so words and number agree."""

import numpy as np
import numpy.typing as npt

CLEAR, LEANING = 75, 60
"""Minimum whole percentages of a clear and of a leaning winner. Below both the pair is too close to call."""


def percent(probability: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return probabilities from 0 to 1 as whole percentages. Halves are rounded up, as a browser does."""
    return np.floor(100 * np.asarray(probability, np.float64) + 0.5).astype(np.int64)


def is_too_close(probability: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Return whether a pair is too close to call, from the likelier winner's probabilities, 0.5 to 1."""
    return np.asarray(percent(probability) < LEANING, np.bool_)
