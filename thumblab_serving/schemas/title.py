"""Check the title of a video and remove invisible characters from it."""

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

MAX_TITLE = 300
"""Maximum number of characters of a title."""

_JOINERS = "\u200c\u200d"
"""Zero-width joiner and non-joiner. These invisible characters are kept, because emoji and some scripts need them."""

_FLAG = re.compile("(\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f)")
"""Regular expression for the emoji of a regional flag, such as the flag of England.

The emoji consists of a black flag, invisible tag characters and a cancel tag.
"""

_BLANKS = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Characters that Unicode counts as letters or symbols and that have no visible shape."""


def visible_title(title: str) -> str:
    """Return the title without control characters, direction marks and other invisible characters.

    Raises `ValueError` if no visible character is left.
    """
    kept = "".join(part if _FLAG.fullmatch(part) else _without_invisible(part) for part in _FLAG.split(title))
    if not any(_is_visible(character) for character in kept):
        raise ValueError("give a title that can be seen: letters, digits or symbols")
    return kept.strip().strip(_JOINERS).strip()


Title = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_TITLE), AfterValidator(visible_title)
]


def _without_invisible(text: str) -> str:
    """Replace control characters (Cc) by spaces and drop format characters (Cf) other than joiners."""
    characters = [(character, unicodedata.category(character)) for character in text]
    return "".join(
        " " if category == "Cc" else character
        for character, category in characters
        if category != "Cf" or character in _JOINERS
    )


def _is_visible(character: str) -> bool:
    category = unicodedata.category(character)
    # For emoji that are newer than Python's Unicode tables, the category is Cn (unassigned).
    is_new_emoji = category == "Cn" and "\U0001f000" <= character <= "\U0001faff"
    return (category[0] in "LNPS" and character not in _BLANKS) or is_new_emoji
