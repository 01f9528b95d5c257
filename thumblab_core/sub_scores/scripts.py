"""The scripts of letters: which ones the text reader knows, and which readings show that it read another script.

The text reader returns something for each line, also for a script that it was not trained for: letters that look
similar, such as `MOCKBA` or `on7 nix7`. Such a reading is worse than none, because it is shown as the text of the
picture.
"""

import re
import unicodedata

_LETTERS = ("LATIN", "CJK", "HIRAGANA", "KATAKANA", "MATHEMATICAL", "FULLWIDTH", "HALFWIDTH")
_SIGNS = ("IDEOGRAPHIC", "FEMININE", "MASCULINE")
"""Signs of the known scripts whose names do not start with a script: `々` of `様々`, and `ª` and `º` of `1ª` and `10º`."""
KNOWN = frozenset((*_LETTERS, *_SIGNS))
"""Scripts that the text reader knows. Each is named by the first word of the Unicode names of its letters."""

_FOREIGN = 2
"""Number of letters of other scripts from which a reading is of another script. A single one may be a symbol (Ω, π)."""
_ODD_SURE, _MIXED_SURE = 0.95, 0.85
"""From these confidences on, a reading with the parts `_ODD` or `_MIXED` is believed.

The readings of drawn text in other scripts that have parts of the second kind reach 0.81.
"""
_ODD = re.compile(
    r"[A-Z]{2,}(?!s|(?<=H)z|(?<=W)h)[a-zß-ÿ](?!\w)"  # a lower-case letter after capitals: `UTn`, but not `TVs` or `GHz`
    r"|[\u0250-\u02af]"  # letters of phonetic alphabets: `uuñəua`
)
"""Parts of a reading that words in known scripts rarely have, and readings of other scripts often."""
_MIXED = re.compile(
    r"[a-zß-ÿ]\d"  # a digit after a lower-case letter: `nix7`, but also `mp3`
    r"|\d[a-zß-ÿ]*[^\W\d_][a-zß-ÿ]{2}"  # a word after a digit: `1uvn`, but also `10min`
)
"""Parts that readings of other scripts have, and that some words in known scripts have too."""


def script(letter: str) -> str:
    """Return the script of a letter as the first word of its Unicode name, such as `LATIN`."""
    return unicodedata.name(letter, "").partition(" ")[0].partition("-")[0]


def has_unknown_letters(text: str) -> bool:
    """Return whether a letter of the text is of a script that the text reader does not know."""
    return _unknown(text) > 0


def is_misread(text: str, confidence: float) -> bool:
    """Return whether a reading shows that the line is in a script that the text reader does not know.

    `confidence`: the confidence of the text reader, 0 to 1. A line in a script whose letters all look like Latin ones
    cannot be told from a Latin line this way.
    """
    doubts = ((_ODD, _ODD_SURE), (_MIXED, _MIXED_SURE))
    is_odd = any(confidence < sure and parts.search(text) is not None for parts, sure in doubts)
    return is_odd or _unknown(text) >= _FOREIGN


def _unknown(text: str) -> int:
    return sum(script(letter) not in KNOWN for letter in text if letter.isalpha())
