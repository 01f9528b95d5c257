"""The known name that a misspelt one probably means."""

import difflib
from collections.abc import Iterable

_ALIKE = 0.7
"""How alike two names must be (difflib's ratio, 0 to 1) for one to be suggested instead of the other."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most like the given one, whatever the case of their letters; None if none is like it."""
    by_folded = {candidate.casefold(): candidate for candidate in known}
    near = difflib.get_close_matches(name.casefold(), by_folded, 1, _ALIKE)
    return by_folded[near[0]] if near else None


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return "; do you mean NAME?" with the known name that is most like the given one; empty if none is like it."""
    near = nearest(name, known)
    return "" if near is None else f"; do you mean {near!r}?"
