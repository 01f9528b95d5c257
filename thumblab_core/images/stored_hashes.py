"""Perceptual hashes as a database or a data frame stores them, where some may be missing."""

import numpy as np
import numpy.typing as npt


def known_hashes(stored: npt.ArrayLike) -> list[int | None]:
    """Return stored 64-bit hashes as integers, and None for each missing one (None, NaN or pandas' NA).

    A stored hash is an integer or its decimal digits. Digits are safe where some hashes are missing: pandas would turn
    integers beside a NULL into floats, which hold 53 bits only.
    """
    import pandas as pd

    values = np.array(stored, object)
    return [None if missing else int(value) for value, missing in zip(values, pd.isna(values), strict=True)]
