"""Test perceptual hashes that are read from the database. All 64 bits are correct, and a missing hash is None."""

import numpy as np
import pandas as pd

from thumblab_core.images.stored_hashes import known_hashes

LARGE = -(2**63) + 1
"""A hash that a float cannot represent exactly."""


def test_a_hash_is_read_from_digits_and_integers_and_a_missing_hash_is_null() -> None:
    assert known_hashes([str(LARGE), None, "5"]) == [LARGE, None, 5]
    assert known_hashes([LARGE, np.nan, pd.NA, 5]) == [LARGE, None, None, 5]
    assert known_hashes(pd.Series(pd.array([LARGE, None], dtype="Int64"))) == [LARGE, None]
    assert known_hashes(pd.Series([LARGE, 5])) == [LARGE, 5]
    assert known_hashes([]) == []
