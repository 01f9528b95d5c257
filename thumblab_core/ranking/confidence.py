"""What the lab calls a chance of winning: by the percentage that is shown, so that the word never contradicts the number."""

import numpy as np
import numpy.typing as npt

CLEAR, LEANING = 75, 60
"""From so many percent on an answer is clear, or leaning; below both it is too close to call."""


def percent(chance: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Chances from 0 to 1 as whole percentages, halves rounded up, as a browser rounds them."""
    return np.floor(100 * np.asarray(chance, np.float64) + 0.5).astype(np.int64)
