"""Make the inputs of the ranking model, and say what each of their columns means.

The columns are in blocks, in this order:

    image       vector of the picture
    title       vector of the title
    facts       facts about the wording of the title, see `title_facts`
    agreement   how far the words in the picture agree with the title, see `agreement`
    words       hashed words and groups of characters of the title, see `title_words`
    length      how long the video is, see `length_columns`

Inputs of versions 1 and 2 have neither `agreement` nor `length`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from thumblab_core.arrays import Float32s, Floats
from thumblab_core.encoders.protocol import Vectors
from thumblab_core.ranking.agreement import AGREEMENT, agreement
from thumblab_core.ranking.title_facts import FACTS, WORDS, sparse_title_words, title_facts, title_words

VERSION = 3
"""Version of the inputs. A model stores the version that it was trained with, and gets inputs of that version.

Version 2 changed the title facts. Version 3 added the blocks `agreement` and `length`.
"""

_FIRST_WITH_AGREEMENT = 3
"""The first version of the inputs that has the blocks `agreement` and `length`."""

LENGTH = 2
"""Number of columns about the length of the video."""

IMAGE, TITLE, FACTS_BLOCK, AGREEMENT_BLOCK, WORDS_BLOCK, LENGTH_BLOCK = (
    "image", "title", "facts", "agreement", "words", "length"
)  # fmt: skip

_USUAL_S, _SPREAD, _FARTHEST = 600.0, 1.1, 3.0
"""`_USUAL_S` is a usual length of a video in seconds. `_SPREAD` is the standard deviation of ln(seconds). Both come
from 1,974 real videos. ln(seconds) is clipped at `_FARTHEST` standard deviations from the usual length."""


@dataclass(frozen=True)
class InputLayout:
    """The layout of the inputs: which columns belong to which block.

    `image` and `title` are the dimensions of the vectors of a picture and of a title.
    """

    image: int
    title: int
    version: int = VERSION

    @property
    def sizes(self) -> dict[str, int]:
        """The number of columns of each block, in the order of the blocks."""
        new = self.version >= _FIRST_WITH_AGREEMENT
        counts = self.image, self.title, FACTS, AGREEMENT if new else 0, WORDS, LENGTH if new else 0
        names = IMAGE, TITLE, FACTS_BLOCK, AGREEMENT_BLOCK, WORDS_BLOCK, LENGTH_BLOCK
        return dict(zip(names, counts, strict=True))

    @property
    def dense(self) -> int:
        """Number of columns before the block `words`."""
        return int(self.columns(WORDS_BLOCK).start)

    @property
    def total(self) -> int:
        """Number of all columns. In the shapes of arrays, this number is called d."""
        return sum(self.sizes.values())

    def columns(self, block: str) -> slice:
        """Return the columns of the block with the name `block`."""
        start = 0
        for name, size in self.sizes.items():
            if name == block:
                return slice(start, start + size)
            start += size
        raise KeyError(block)


def model_inputs(
    images: Vectors,
    titles: Vectors,
    texts: Sequence[str],
    version: int = VERSION,
    in_pictures: Sequence[str | None] | None = None,
    seconds: Floats | None = None,
) -> Float32s:
    """Return the inputs of the model, float32 [n, d].

    `images` [n, d_i] and `titles` [n, d_t] are vectors, and `texts` are the n titles. `in_pictures` [n]: the words in
    each picture, None for a picture on which text recognition was not run. `seconds` [n]: the length of each video, NaN
    if unknown. Without `in_pictures` or `seconds`, these facts count as unknown for all videos. `version`: the version
    of the inputs that the model was trained with.
    """
    parts = input_parts(images, titles, texts, version, in_pictures, seconds, title_words)
    return np.concatenate(list(parts.values()), axis=1, dtype=np.float32)


def input_parts(
    images: Vectors,
    titles: Vectors,
    texts: Sequence[str],
    version: int = VERSION,
    in_pictures: Sequence[str | None] | None = None,
    seconds: Floats | None = None,
    words: Callable[[Sequence[str]], Any] = sparse_title_words,
) -> dict[str, Any]:
    """Return the blocks of the inputs by name, in the order of their columns. The parameters are those of
    `model_inputs`.

    The vectors are not copied. `words` makes the block of words. By default, this block is a sparse matrix (CSR),
    because most of its values are 0.
    """
    parts: dict[str, Any] = {IMAGE: images, TITLE: titles, FACTS_BLOCK: title_facts(texts, min(version, 2))}
    new = version >= _FIRST_WITH_AGREEMENT
    if new:
        parts[AGREEMENT_BLOCK] = agreement([None] * len(texts) if in_pictures is None else in_pictures, texts)
    parts[WORDS_BLOCK] = words(texts)
    if new:
        parts[LENGTH_BLOCK] = np.zeros((len(texts), LENGTH), np.float32) if seconds is None else length_columns(seconds)
    return parts


def length_columns(seconds: Floats) -> Float32s:
    """Return two columns about the length of each video, float32 [n, LENGTH].

    The first is z, the standardised logarithm of the seconds. The second is (z^2 - 1) / sqrt(2), so that a linear model
    can prefer a middle length. Both are 0 if the length is unknown.
    """
    known = np.isfinite(seconds) & (np.nan_to_num(np.asarray(seconds, np.float64)) > 0)
    logarithm = np.log(np.where(known, seconds, _USUAL_S) / _USUAL_S)
    z = np.clip(logarithm / _SPREAD, -_FARTHEST, _FARTHEST)
    columns = np.stack([z, (z**2 - 1) / np.sqrt(2)], axis=1)
    return np.where(known[:, None], columns, 0.0).astype(np.float32)
