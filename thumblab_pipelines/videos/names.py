"""Titles and names as people wrote them, and which names are one channel's."""

import base64
import hashlib
import html
import re
import unicodedata

_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_MOST_LAYERS = 5
_INVISIBLE = re.compile("[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")


def unescaped(text: str) -> str:
    """The text with its HTML entities decoded once, as `search.list` of YouTube's API wants it.

    An entity ends with a semicolon. One that HTML does not know, or that stands for a control character, stays as it is.
    """
    return _ENTITY.sub(_decoded, text)


def written(text: str) -> str:
    """The text of a catalogue as a person wrote it: entities decoded however often some tool escaped them, and no space at
    the ends.

    A title that is about an entity loses it: `&amp;` says `&`. Such titles are far rarer than tools that escape twice.
    """
    for _ in range(_MOST_LAYERS):
        before, text = text, unescaped(text)
        if text == before:
            break
    return text.strip()


def channel_key(name: str) -> str:
    """What makes two names one channel: equal but for entities, Unicode's compatible forms, invisible marks and spaces.

    Case counts: YouTube has channels whose names differ in nothing else.
    """
    return " ".join(_INVISIBLE.sub("", unicodedata.normalize("NFKC", written(name))).split())


def channel_id_of(name: str) -> str:
    """A catalogue names channels by title only: an id of YouTube's form, the same for the same `channel_key`."""
    return "UC" + base64.urlsafe_b64encode(hashlib.sha256(channel_key(name).encode()).digest()).decode()[:22]


def visible(text: str) -> bool:
    """Whether there is anything to see: a title of one zero-width space is no title."""
    return any(letter.isprintable() and not letter.isspace() for letter in text)


def _decoded(entity: re.Match[str]) -> str:
    text = html.unescape(entity[0])
    odd = not text or any(letter == "\ufffd" or unicodedata.category(letter) in ("Cc", "Cs") for letter in text)
    return entity[0] if odd else text
