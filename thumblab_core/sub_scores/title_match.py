"""The sub-score `title_match`: how well a picture and its title match.

Some image encoders, such as CLIP, can also encode a text. The part that encodes texts is called the text tower. With
such an encoder, picture and title are compared by the cosine of their vectors. A cosine of 0.10, which is usual for a
picture and an unrelated title, becomes 0. A cosine of 0.35, which is usual for a good match, becomes 1 (Hessel et al.,
CLIPScore, EMNLP 2021).

Without a text tower, the text in the picture is compared with the title. The measure is the cosine of their vectors
from the title encoder (Reimers & Gurevych, Sentence-BERT, EMNLP 2019). The cosine is rescaled from the range
`TEXT_RANGE` to the range from 0 to 1. Only text in Latin letters is compared. The title encoder that comes with the lab
gives even unrelated titles in Russian or Chinese a cosine of 0.5, as if they matched.
"""

import unicodedata
from collections.abc import Sequence

import numpy as np

from thumblab_core.encoders.protocol import Vectors
from thumblab_core.sub_scores.evidence import TextLine, UnreadLine
from thumblab_core.sub_scores.scripts import has_unknown_letters

PICTURE, TEXT = "picture", "text"
"""What is compared with the title: the picture itself, or the text in it."""

CLIP_RANGE = (0.10, 0.35)
TEXT_RANGE = (0.0, 0.80)

TEXT_MATCHES_FROM = 0.45
"""The smallest value of `title_match` at which a text counts as matching its title.

29 % of 799 texts of real thumbnails reach this value with their own title, and 1 % with the title of another video
(`python -m benchmarks.title_match`). No such threshold was measured for pictures yet.
"""

_LETTERS = 3
"""Minimum number of letters for a text to be compared with the title."""
_LATIN = 0.9
"""Minimum share of Latin letters in a text that counts as Latin."""
_SURE = 0.95
"""If the title has letters that the text reader cannot read, a line is accepted only with at least this confidence."""
_LOOK_ALIKES = frozenset("ABCEHIJKMNOPSTXYZaceijopsuvxy0346")
"""Characters that the text reader returns instead of Cyrillic or Greek letters, because they look alike."""


def rescaled(cosine: float, between: tuple[float, float]) -> float:
    """Map `cosine` from the range `between` to the range from 0 to 1. A cosine outside `between` becomes 0 or 1."""
    low, high = between
    return float(np.clip((cosine - low) / (high - low), 0, 1))


def by_picture(image: Vectors, title: Vectors) -> float:
    """Return how well a picture matches its title, 0 to 1. `image` and `title` are unit vectors [d] of an encoder with
    a text tower.
    """
    return rescaled(float(image @ title), CLIP_RANGE)


def by_text(text: Vectors, title: Vectors) -> float:
    """Return how well the text in a picture matches the picture's title, 0 to 1. `text` and `title` are unit vectors
    [d] of the title encoder.
    """
    return rescaled(float(text @ title), TEXT_RANGE)


def latin(text: str) -> bool:
    """Return whether at least 90 % of the letters are Latin. A text without letters counts as Latin."""
    letters = [letter for letter in unicodedata.normalize("NFKC", text) if letter.isalpha()]
    latin_count = sum(unicodedata.name(letter, "").startswith("LATIN") for letter in letters)
    return latin_count >= _LATIN * len(letters)


def doubtful(line: TextLine, title: str) -> bool:
    """Return whether a line is probably misread, because it is written in an alphabet that the text reader lacks.

    If the title has letters that the text reader cannot read, the picture may have such letters too. The text reader
    turns such letters into Latin letters of a similar shape. With such a title, a line is doubtful in two cases: its
    confidence is below `_SURE`, or all of its letters and digits are in `_LOOK_ALIKES`.
    """
    look_alike = all(character in _LOOK_ALIKES for character in line.text if character.isalnum())
    return has_unknown_letters(title) and (look_alike or line.confidence < _SURE)


def unread_outweighs(texts: Sequence[TextLine], unread: Sequence[UnreadLine]) -> bool:
    """Return whether the unread lines have more letters than the lines that were read."""
    return sum(line.letters for line in unread) > sum(line.letters for line in texts)


def words(lines: Sequence[TextLine]) -> str | None:
    """Return the text in the picture, its lines in reading order. Return None if it has fewer than three letters."""
    text = " ".join(line.text for line in lines)
    return text if sum(character.isalpha() for character in text) >= _LETTERS else None
