"""Check the names of people, and convert between the keys of clusters and the ids that users see."""

import re
import secrets
import unicodedata

from thumblab_core.errors import LabError
from thumblab_core.given_text import has_hidden, not_utf8, visible
from thumblab_core.people.errors import UnknownFaceError

LONGEST_NAME = 100
"""Maximum number of characters of a person's name."""

PERSON, UNKNOWN, ANY = "person_", "unknown_cluster_", "clu_"
"""Prefixes of the ids of clusters. `PERSON` is for a named person, `UNKNOWN` for an unknown cluster, `ANY` for both."""

_ID = re.compile(rf"(?:{PERSON}|{UNKNOWN}|{ANY})?([0-9a-f]{{12}})")
_BLANK = "\u2800\u115f\u1160\u3164\uffa0"
"""Letters and symbols that look blank: the empty Braille pattern and the fillers of Hangul."""
_SHOWN = 40
"""Maximum number of characters of a value that an error message shows."""


def clean_name(given: str) -> str:
    """Return a person's name in normal form C, without blanks at its ends, and with single blanks inside.

    Raises `LabError` if the name has no visible character, or has control or invisible characters. Also raises
    `LabError` if the name is too long, is not valid UTF-8, or looks like the id of a cluster.
    """
    if not_utf8(given):
        raise LabError("the name of a person is not text in UTF-8; write it with other characters")
    if has_hidden(given):
        raise LabError(f"the name {given[:_SHOWN]!r} has control or invisible characters; write it without them")
    name = " ".join(unicodedata.normalize("NFC", given).split())
    if not any(_shows(letter) for letter in name):
        raise LabError("the name of a person is empty; give a name with at least one visible character")
    if name_key(name).startswith((PERSON, UNKNOWN, ANY)):
        raise LabError(f"the name {name[:_SHOWN]!r} looks like the id of a cluster; give the name of a person")
    if len(name) > LONGEST_NAME:
        raise LabError(
            f"the name {name[:_SHOWN]!r}... has {len(name)} characters; use at most {LONGEST_NAME} characters"
        )
    return name


def _shows(letter: str) -> bool:
    """Return whether a letter of a name is visible by itself. A combining mark is not visible by itself, because it
    only changes the letter before it.
    """
    return visible(letter) and letter not in _BLANK and not unicodedata.category(letter).startswith("M")


def name_key(name: str) -> str:
    """Return the form in which names are compared: "ALICE" and "Alice" are one name."""
    return " ".join(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).split())


def new_key() -> str:
    """Return the key of a new cluster: 12 random hexadecimal digits."""
    return secrets.token_hex(6)


def shown_id(key: str, name: str | None) -> str:
    """Return the id of a cluster that users see: `person_<key>` if the cluster has a name, else `unknown_cluster_<key>`."""
    return f"{UNKNOWN if name is None else PERSON}{key}"


def key_in(cluster_id: str) -> str:
    """Return the key in the id of a cluster.

    The key may have the prefix `person_`, `unknown_cluster_` or `clu_`, or no prefix. So a link to a cluster stays
    valid when the cluster gets a name. Raises `UnknownFaceError` if the text has another form.
    """
    found = _ID.fullmatch(cluster_id)
    if found is None:
        raise UnknownFaceError(
            f"{cluster_id[:_SHOWN]!r} is not the id of a cluster; an id looks like person_0123456789ab or "
            "unknown_cluster_0123456789ab"
        )
    return found[1]
