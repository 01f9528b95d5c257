"""Perceptual hashes as a database or a data frame stores them, where some may be missing."""

from collections.abc import Iterable
from typing import Any

import numpy as np


def known_hashes(stored: Iterable[Any]) -> list[int | None]:
    """Return stored 64-bit hashes as integers, and None for each missing one (None, NaN or pandas' NA).

    A stored hash is an integer or its decimal digits. Digits are safe where some hashes are missing: pandas would turn
    integers beside a NULL into floats, which hold 53 bits only.
    """
    import pandas as pd

    values = list(stored)
    missing = pd.isna(np.array(values, object))
    return [None if absent else int(value) for value, absent in zip(values, missing, strict=True)]
