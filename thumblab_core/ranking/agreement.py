"""Compare the words that a picture shows with the words of its title.

A picture that repeats its title says nothing new. A picture that has no word of its title may be about something else.
So the same picture may be good under one title and bad under another. The model can only learn this if its inputs
compare the words in the picture with the words of the title.
"""

import re
import unicodedata
from collections.abc import Sequence

import numpy as np

from thumblab_core.arrays import Float32s

AGREEMENT = 3
"""Number of values that `agreement` returns for a picture."""

_WORD = re.compile(r"\w[\w']*")


def agreement(in_pictures: Sequence[str | None], titles: Sequence[str]) -> Float32s:
    """Return how the words in each picture agree with its title, float32 [n, AGREEMENT].

    `in_pictures` [n] has the words that text recognition read in each picture, or None if text recognition was not run
    on this picture. `titles` [n] has the titles.

    The first value is 1 if the picture has words, and 0 otherwise. The second is the share of the picture's words that
    are also in the title. The third is the share of the title's words that are also in the picture. All three are 0 if
    no words of the picture are known. Upper and lower case count as the same.
    """
    values = np.zeros((len(titles), AGREEMENT), np.float32)
    for row, (shown, title) in enumerate(zip(in_pictures, titles, strict=True)):
        in_picture = _words(shown or "")
        if in_picture:
            in_title = _words(title)
            common = len(in_picture & in_title)
            values[row] = 1.0, common / len(in_picture), common / max(len(in_title), 1)
    return values


def _words(text: str) -> set[str]:
    return set(_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))
