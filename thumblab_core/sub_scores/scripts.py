"""Recognise scripts (writing systems, such as Latin or Cyrillic), and find lines that the text reader read wrongly
because it does not know their script.

The text reader returns letters for each line. For a line in an unknown script, it returns known letters of a similar
shape, such as `MOCKBA` or `on7 nix7`. Such a wrong text is worse than no text, because the lab would show it as the
text of the picture.
"""

import re
import unicodedata

_LETTERS = ("LATIN", "CJK", "HIRAGANA", "KATAKANA", "MATHEMATICAL", "FULLWIDTH", "HALFWIDTH")
_SIGNS = ("IDEOGRAPHIC", "FEMININE", "MASCULINE")
"""Signs of the known scripts whose Unicode names do not start with the name of a script: `々` of `様々`, and `ª` and `º`
of `1ª` and `10º`.
"""
KNOWN = frozenset((*_LETTERS, *_SIGNS))
"""Scripts that the text reader can read. Each is named by the first word of the Unicode names of its letters."""

_FOREIGN = 2
"""A text counts as misread if it has at least this number of letters of unknown scripts. A single such letter may be a
symbol (Ω, π).
"""
_ODD_SURE, _MIXED_SURE = 0.95, 0.85
"""A text with a part that matches `_ODD` is accepted only with at least the first confidence. A text with a part that
matches `_MIXED` is accepted only with at least the second confidence.

In a test with pictures of texts in other scripts, texts that matched `_MIXED` were read with a confidence of up to 0.81.
"""
_ODD = re.compile(
    r"[A-Z]{2,}(?!s|(?<=H)z|(?<=W)h)[a-zß-ÿ](?!\w)"  # a small letter after capitals: `UTn`, not `TVs` or `GHz`
    r"|[\u0250-\u02af]"  # letters of phonetic alphabets: `uuñəua`
)
"""Letter groups that the text reader often returns for an unknown script. They are rare in words of known scripts."""
_MIXED = re.compile(
    r"[a-zß-ÿ]\d"  # a digit after a lower-case letter, as in `nix7`; also matches the word `mp3`
    r"|\d[a-zß-ÿ]*[^\W\d_][a-zß-ÿ]{2}"  # letters after a digit, as in `1uvn`; also matches the word `10min`
)
"""Groups of characters that the text reader returns for an unknown script. They also occur in some real words."""


def script(letter: str) -> str:
    """Return the script of a letter as the first word of its Unicode name, such as `LATIN`."""
    return unicodedata.name(letter, "").partition(" ")[0].partition("-")[0]


def has_unknown_letters(text: str) -> bool:
    """Return whether the text has a letter of a script that the text reader cannot read."""
    return _unknown(text) > 0


def is_misread(text: str, confidence: float) -> bool:
    """Return whether `text`, which the text reader returned, comes from a line in a script that it cannot read.

    `confidence`: the confidence of the text reader, 0 to 1. If all letters of a line look like Latin letters, this
    function cannot distinguish the line from a Latin line.
    """
    doubts = ((_ODD, _ODD_SURE), (_MIXED, _MIXED_SURE))
    is_odd = any(confidence < sure and parts.search(text) is not None for parts, sure in doubts)
    return is_odd or _unknown(text) >= _FOREIGN


def _unknown(text: str) -> int:
    return sum(script(letter) not in KNOWN for letter in text if letter.isalpha())
