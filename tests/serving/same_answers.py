"""Compare two answers of the service."""

import math
from typing import Any


def same_answers(first: Any, second: Any) -> bool:
    """Return whether two answers are equal. Floats count as equal if their difference can come from rounding."""
    if isinstance(first, dict) and isinstance(second, dict):
        return list(first) == list(second) and all(same_answers(first[key], second[key]) for key in first)
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(same_answers, first, second))
    if isinstance(first, float) and isinstance(second, float):
        return math.isclose(first, second, rel_tol=1e-4, abs_tol=1e-5)
    return bool(first == second)
