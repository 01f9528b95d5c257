"""Convert perceptual hashes from a column of the database or of a data frame. Some hashes may be missing."""

import numpy as np
import numpy.typing as npt


def known_hashes(stored: npt.ArrayLike) -> list[int | None]:
    """Return stored 64-bit hashes as integers, with None for each missing hash.

    None, NaN and pandas' NA count as missing. A stored hash is an integer or a string of its decimal digits. If some
    hashes of a column are missing, the column must contain strings. In a column of integers with missing values, pandas
    turns the integers into floats, which are exact only up to 53 bits.
    """
    import pandas as pd

    values = np.array(stored, object)
    return [None if missing else int(value) for value, missing in zip(values, pd.isna(values), strict=True)]
