"""title_match: does the picture say what the title says?

Where image and title lie in one space (CLIP), their cosine from 0.10 to 0.35 is brought to 0 to 1: the cosines of unrelated
and of well matched pairs (Hessel et al., CLIPScore, EMNLP 2021). Else the text in the picture and the title are compared by
meaning: their cosine in the title encoder's space (Reimers & Gurevych, Sentence-BERT, EMNLP 2019), from `TEXT_RANGE`.
"""

from collections.abc import Sequence

import numpy as np

from thumblab_core.encoders.protocol import Vectors
from thumblab_core.sub_scores.evidence import TextLine

PICTURE, TEXT = "picture", "text"
"""What was compared with the title."""

CLIP_RANGE = (0.10, 0.35)
TEXT_RANGE = (0.0, 0.80)

_LETTERS = 3


def rescaled(cosine: float, between: tuple[float, float]) -> float:
    low, high = between
    return float(np.clip((cosine - low) / (high - low), 0, 1))


def by_picture(image: Vectors, title: Vectors) -> float:
    """Of two unit vectors [d] in one space."""
    return rescaled(float(image @ title), CLIP_RANGE)


def by_text(text: Vectors, title: Vectors) -> float:
    """Of two unit vectors [d] of the title encoder."""
    return rescaled(float(text @ title), TEXT_RANGE)


def words(lines: Sequence[TextLine]) -> str | None:
    """What the picture says, its lines in reading order; None when that is under three letters."""
    said = " ".join(line.text for line in lines)
    return said if sum(character.isalpha() for character in said) >= _LETTERS else None
