"""Restore titles and names as people wrote them, and find out which names belong to the same channel."""

import base64
import hashlib
import html
import re
import unicodedata

_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_MOST_LAYERS = 5
"""Maximum number of times that `plain_text` decodes entities."""
_INVISIBLE = re.compile("[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")


def unescaped(text: str) -> str:
    """Return the text with its HTML entities decoded once. Titles from the method `search.list` of YouTube's API need
    this decoding.

    Only entities that end with a semicolon are decoded. Unknown entities are not decoded, and entities for control
    characters are not decoded either.
    """
    return _ENTITY.sub(_decoded, text)


def plain_text(text: str) -> str:
    """Return the text of a catalogue as a person wrote it, with all entities decoded, and without spaces at its ends.

    Entities are decoded repeatedly, because some tools escape text more than once. So if a title really contains the
    text `&amp;`, for example in a video about HTML, this text is changed to `&`. Titles with a real `&amp;` are far
    rarer than texts that a tool has escaped twice.
    """
    for _ in range(_MOST_LAYERS):
        before, text = text, unescaped(text)
        if text == before:
            break
    return text.strip()


def channel_key(name: str) -> str:
    """Return a key that is equal for two names of the same channel.

    The key ignores entities, Unicode compatibility forms, invisible marks and extra spaces. The key keeps upper and
    lower case, because some channels on YouTube have names that differ only in case.
    """
    return " ".join(_INVISIBLE.sub("", unicodedata.normalize("NFKC", plain_text(name))).split())


def channel_id_of(name: str) -> str:
    """Return a channel id in YouTube's form, computed from the name. A catalogue has only names of channels, and no
    ids.

    Names with equal `channel_key`s get equal ids.
    """
    return "UC" + base64.urlsafe_b64encode(hashlib.sha256(channel_key(name).encode()).digest()).decode()[:22]


def _decoded(entity: re.Match[str]) -> str:
    text = html.unescape(entity[0])
    unusable = not text or any(letter == "\ufffd" or unicodedata.category(letter) in ("Cc", "Cs") for letter in text)
    return entity[0] if unusable else text
