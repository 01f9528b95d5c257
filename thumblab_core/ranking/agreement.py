"""Compare the words that a picture shows with the words of its title.

A picture that repeats its title says nothing new, and a picture that has no word of it may be about something else. So
the same picture may be good under one title and bad under another. The model can only learn this if its inputs contain
a comparison of the two.
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

    `in_pictures` [n] has the words that were read in each picture. It is None for a picture that was not read. `titles`
    [n] has the titles.

    The values are: 1 if the picture has words, else 0; the share of its words that the title has too; and the share of
    the title's words that the picture has too. All three are 0 for a picture without words or one that was not read.
    Upper and lower case count as the same.
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
