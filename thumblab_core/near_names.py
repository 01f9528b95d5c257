"""Find the known name that a misspelt name probably means."""

import difflib
from collections.abc import Iterable

_ALIKE = 0.7
"""The least similarity of a suggested name to the given name, as difflib's ratio from 0 to 1."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the name in `known` that is most similar to `name`, or None if no name is similar. Case is ignored."""
    by_folded = {candidate.casefold(): candidate for candidate in known}
    near = difflib.get_close_matches(name.casefold(), by_folded, 1, _ALIKE)
    return by_folded[near[0]] if near else None


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return "; do you mean NAME?" with the name that `nearest` returns, or "" if it returns None."""
    near = nearest(name, known)
    return "" if near is None else f"; do you mean {near!r}?"
