"""The sub-score `title_match`: does the picture say what the title says?

With an image encoder that has a text tower (CLIP), picture and title are compared in its common space. Their cosine from
0.10 to 0.35 is rescaled to 0 to 1: the cosines of unrelated and of well matched pairs (Hessel et al., CLIPScore, EMNLP
2021). Otherwise the text in the picture is compared with the title in the space of the title encoder (Reimers & Gurevych,
Sentence-BERT, EMNLP 2019), and `TEXT_RANGE` is rescaled. That is done for Latin letters only: unrelated titles in Russian
or Chinese have cosines of 0.5 in the title encoder that comes with the package.
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

TEXT_MATCHES_FROM = 0.45
"""From this value on a text goes with its title. Of 799 texts of real thumbnails 29 % reach it with their own title, and 1 %
with the title of another video (`python -m benchmarks.title_match`). No such threshold is measured for pictures yet."""

_LETTERS = 3
"""Minimum number of letters for a text to be compared with the title."""
_LATIN = 0.9
"""A text is Latin from this share of Latin letters on."""
_SURE = 0.95
"""From this confidence on, a line is trusted under a title in an alphabet that the text reader does not know."""
_LOOK_ALIKES = frozenset("ABCEHIJKMNOPSTXYZaceijopsuvxy0346")
"""What the text reader makes of Cyrillic and Greek letters that look like these."""
_KNOWN = frozenset(("LATIN", "CJK", "HIRAGANA", "KATAKANA", "MATHEMATICAL", "FULLWIDTH", "HALFWIDTH"))
"""Alphabets of the text reader, by the first word of the names of their letters in the Unicode standard."""


def rescaled(cosine: float, between: tuple[float, float]) -> float:
    """Return the cosine rescaled from the range `between` to 0 to 1."""
    low, high = between
    return float(np.clip((cosine - low) / (high - low), 0, 1))


def by_picture(image: Vectors, title: Vectors) -> float:
    """Return the match of two unit vectors [d] in the common space of an image encoder with a text tower."""
    return rescaled(float(image @ title), CLIP_RANGE)


def by_text(text: Vectors, title: Vectors) -> float:
    """Return the match of two unit vectors [d] of the title encoder."""
    return rescaled(float(text @ title), TEXT_RANGE)


def latin(text: str) -> bool:
    """Return whether nine tenths of the letters are Latin. True for a text without letters."""
    letters = [letter for letter in unicodedata.normalize("NFKC", text) if letter.isalpha()]
    latin_count = sum(unicodedata.name(letter, "").startswith("LATIN") for letter in letters)
    return latin_count >= _LATIN * len(letters)


def doubtful(line: TextLine, title: str) -> bool:
    """Return whether a line was probably written in another alphabet than it was read in, judged by the title.

    Where the title has letters that the text reader does not know, letters that look alike come out as Latin words.
    """
    unknown = any(_script(letter) not in _KNOWN for letter in title if letter.isalpha())
    return unknown and (line.confidence < _SURE or all(c in _LOOK_ALIKES for c in line.text if c.isalnum()))


def _script(letter: str) -> str:
    return unicodedata.name(letter, "").partition(" ")[0].partition("-")[0]


def unread_outweighs(texts: Sequence[TextLine], unread: Sequence[UnreadLine]) -> bool:
    """Return whether the unread lines have more letters than the lines that were read."""
    return sum(line.letters for line in unread) > sum(line.letters for line in texts)


def words(lines: Sequence[TextLine]) -> str | None:
    """Return the text in the picture, its lines in reading order; None where it has fewer than three letters."""
    text = " ".join(line.text for line in lines)
    return text if sum(character.isalpha() for character in text) >= _LETTERS else None
