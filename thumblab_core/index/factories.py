"""Check a FAISS factory string before FAISS reads it.

FAISS does not limit the numbers in a factory string. A large number fills the memory or computes for hours, and a 0 can
abort the process.
"""

import re

from thumblab_core.index.items import LibraryError

FACTORY_PATTERN = r"^[A-Za-z0-9_,()]{1,100}$"
"""Regular expression of the texts that can be a factory string."""

_WIDEST = 1_024
_LIMITS = {
    "IVF": (1, 65_536),
    "HNSW": (2, 256),
    "PQ": (1, _WIDEST),
    "x": (1, 12),
    "OPQ": (1, _WIDEST),
    "PCA": (1, _WIDEST),
    "PCAR": (1, _WIDEST),
    "RR": (1, _WIDEST),
    "_": (1, _WIDEST),
    "SQ": (4, 8),
    "SQfp": (16, 16),
    "SQbf": (16, 16),
    "IDMap": (2, 2),
    "L": (2, 2),
}
"""The smallest and the largest number after each word of a factory string. The limits are those of docs/library-index.md.

`x` comes before the bits of a code, as in PQ32x8. `_` comes before the dimension after a rotation, as in OPQ16_64.
"""

_NUMBER = re.compile(r"([A-Za-z]+|_|)(\d+)")


def check_factory(factory: str) -> None:
    """Raise `LibraryError` if `factory` cannot be a factory string, or if one of its numbers is outside the limits."""
    if re.fullmatch(FACTORY_PATTERN, factory) is None:
        given = repr(factory[:100]) if factory.isprintable() else "a text with hidden characters"
        raise LibraryError(
            f"{given} is not a FAISS factory; write 1 to 100 letters, digits, commas and brackets, such as IVF100,Flat"
        )
    for word, number in _NUMBER.findall(factory):
        low, high = _LIMITS.get(word, (0, -1))
        if high < 0:
            raise LibraryError(
                f"the lab makes no FAISS index with {word}{number}, as in {factory!r}; choose one with IVF, HNSW, PQ, "
                "SQ, OPQ, PCA or RR"
            )
        # A number of more than 6 digits is above every limit.
        if len(number) > 6 or not low <= int(number) <= high:
            allowed = str(low) if low == high else f"a number of {low} to {high}"
            raise LibraryError(f"the number in {word}{number} of the FAISS factory {factory!r} must be {allowed}")
