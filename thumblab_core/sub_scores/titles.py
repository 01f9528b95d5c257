"""title_match: does the picture say what the title says?

Where image and title lie in one space (CLIP), their cosine from 0.10 to 0.35 is brought to 0 to 1: the cosines of unrelated
and of well matched pairs (Hessel et al., CLIPScore, EMNLP 2021). Else the text in the picture and the title are compared by
meaning: their cosine in the title encoder's space (Reimers & Gurevych, Sentence-BERT, EMNLP 2019), from `TEXT_RANGE`. That
is done for Latin letters only: unrelated titles in Russian or Chinese have cosines of 0.5 in the carried encoder.
"""

import unicodedata
from collections.abc import Sequence

import numpy as np

from thumblab_core.encoders.protocol import Vectors
from thumblab_core.sub_scores.evidence import TextLine, UnreadLine

PICTURE, TEXT = "picture", "text"
"""What was compared with the title."""

CLIP_RANGE = (0.10, 0.35)
TEXT_RANGE = (0.0, 0.80)

GOES = 0.45
"""From here on a text goes with its title: of 799 texts of real thumbnails 29 % reach it with their own title, and 1 % with
the title of another video (`python -m benchmarks.title_match`). Of pictures nothing is measured yet."""

_LETTERS = 3
_LATIN = 0.9
"""The share of Latin letters from which a text is in Latin letters."""
_SURE = 0.95
_LOOK_ALIKES = frozenset("ABCEHIJKMNOPSTXYZaceijopsuvxy0346")
"""What the reader makes of Cyrillic and Greek letters that look like these."""


def rescaled(cosine: float, between: tuple[float, float]) -> float:
    low, high = between
    return float(np.clip((cosine - low) / (high - low), 0, 1))


def by_picture(image: Vectors, title: Vectors) -> float:
    """Of two unit vectors [d] in one space."""
    return rescaled(float(image @ title), CLIP_RANGE)


def by_text(text: Vectors, title: Vectors) -> float:
    """Of two unit vectors [d] of the title encoder."""
    return rescaled(float(text @ title), TEXT_RANGE)


def latin(text: str) -> bool:
    """Whether it is written in Latin letters, a stray sign or a word apart. True for a text without letters."""
    letters = [letter for letter in unicodedata.normalize("NFKC", text) if letter.isalpha()]
    found = sum(unicodedata.name(letter, "").startswith("LATIN") for letter in letters)
    return found >= _LATIN * len(letters)


def doubtful(line: TextLine, title: str) -> bool:
    """Whether a line was read in letters that it is not written in, going by the title.

    Under a title in an alphabet that the reader does not know, letters that look alike come out as Latin words.
    """
    unknown = any(_script(letter) not in _KNOWN for letter in title if letter.isalpha())
    return unknown and (line.confidence < _SURE or all(c in _LOOK_ALIKES for c in line.text if c.isalnum()))


_KNOWN = frozenset(("LATIN", "CJK", "HIRAGANA", "KATAKANA", "MATHEMATICAL", "FULLWIDTH", "HALFWIDTH"))
"""Alphabets of the reader, by the first word of the names of their letters in the Unicode standard."""


def _script(letter: str) -> str:
    return unicodedata.name(letter, "").partition(" ")[0].partition("-")[0]


def unread_outweighs(texts: Sequence[TextLine], unread: Sequence[UnreadLine]) -> bool:
    """Whether more of the text cannot be read than can."""
    return sum(line.letters for line in unread) > sum(line.letters for line in texts)


def words(lines: Sequence[TextLine]) -> str | None:
    """What the picture says, its lines in reading order; None when that is under three letters."""
    said = " ".join(line.text for line in lines)
    return said if sum(character.isalpha() for character in said) >= _LETTERS else None
