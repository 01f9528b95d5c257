"""Say which texts can be the name of a niche."""

import re
from collections.abc import Sequence

from thumblab_core.errors import LabError
from thumblab_core.releases.release import ALL

NICHE_PATTERN = "^[a-z0-9][a-z0-9-]{0,39}$"
"""Regular expression of the name of a niche. The name is a partition key, a part of URLs and the name of folders."""

LARGEST_NICHES = 50
"""Maximum number of niches of a lab. Retired niches are not counted."""

_DEVICES = {f"{device}{number}" for device in ("com", "lpt") for number in range(10)}
_RESERVED = frozenset({ALL, "con", "prn", "aux", "nul", "none", "null"} | _DEVICES)
"""Names that already mean something else: the map of all niches, and names that files cannot have on some systems."""

_PATHS = frozenset({"proposals"})
"""Names that a new niche cannot have, because they are paths of the service (`POST /api/v1/niches/proposals`). If a lab
already has a niche with such a name, the niche stays.
"""

_NAME = re.compile(NICHE_PATTERN.removeprefix("^").removesuffix("$"))


class UnknownNicheError(LabError):
    """The error that is raised for a niche that the lab does not have. The message lists the niches of the lab."""

    def __init__(self, name: str, names: Sequence[str]) -> None:
        super().__init__(f"there is no niche {name[:80]!r}; the niches are {', '.join(names)}")


class NicheConflictError(LabError):
    """The error that is raised if a niche cannot be added, retired or restored because of the other niches."""


def is_niche_name(text: str) -> bool:
    """Return whether a niche can have this name."""
    return _NAME.fullmatch(text) is not None and text not in _RESERVED


def check_name(text: str) -> None:
    """Raise `LabError` if no niche can have this name."""
    if _NAME.fullmatch(text) is None:
        raise LabError(
            f"{text[:80]!r} cannot be the name of a niche; use 1 to 40 lower-case letters, digits and hyphens, and begin "
            "with a letter or a digit"
        )
    if text in _RESERVED:
        raise LabError(_taken(text))


def check_new_name(text: str) -> None:
    """Raise `LabError` if a new niche cannot have this name."""
    check_name(text)
    if text in _PATHS:
        raise LabError(_taken(text))


def _taken(text: str) -> str:
    return f"{text!r} cannot be the name of a niche, because the lab uses this word; choose another name"
