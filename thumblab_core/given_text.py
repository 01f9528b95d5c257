"""Check text that a person gave: whether it is valid, can be seen, and has the form of an id of YouTube."""

import re

VIDEO_ID = re.compile(r"[A-Za-z0-9_-]{11}")
"""The form of YouTube's video ids."""

CHANNEL_ID = re.compile(r"UC[A-Za-z0-9_-]{22}")
"""The form of YouTube's channel ids."""


def visible(text: str) -> bool:
    """Return whether the text has a visible character. A title that consists of one zero-width space, for example, has
    none.
    """
    return any(letter.isprintable() and not letter.isspace() for letter in text)


def not_utf8(text: str) -> bool:
    """Return whether the text contains a lone surrogate, which no UTF-8 text contains.

    Python puts a lone surrogate in place of a byte that is not valid UTF-8, for example in arguments of a command.
    """
    return any("\ud800" <= letter <= "\udfff" for letter in text)
