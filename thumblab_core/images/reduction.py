"""Choose the factors by which a large picture is reduced when it is decoded."""

import math
from dataclasses import dataclass

from thumblab_core.images.letterbox import is_tall

MOST_PIXELS_AT_ONCE = 1920 * 1080
"""The least number of pixels that a picture keeps when it is made smaller by an integer factor.

A picture with fewer pixels is not made smaller. The lab uses at most 640 pixels a side, so this number is enough.
"""


@dataclass(frozen=True)
class Reduction:
    """The factors by which a picture is reduced.

    Both factors are whole numbers. The decoder divides the width and the height by `decoder`. After that, pixels are
    averaged, which divides the width and the height by `mean`.
    """

    decoder: int
    mean: int


FULL_SIZE = Reduction(1, 1)


def reduction(size: tuple[int, int], decoder_factors: tuple[int, ...], at_least: tuple[int, int] | None) -> Reduction:
    """Return the factors by which to reduce a picture. The reduced picture is not smaller than `at_least` (width,
    height).

    `size` is the width and height of the upright picture. `decoder_factors` are the factors that the decoder of its
    format offers, the largest first, with 1 as the last.
    """
    width, height = size
    largest_factor = max(1, min(width // at_least[0], height // at_least[1])) if at_least else math.inf
    factor = int(min(largest_factor, math.isqrt(width * height // MOST_PIXELS_AT_ONCE) or 1))
    # A 4:3 picture may have black bars. `without_bars` measures them in whole blocks of 16 rows, so such a picture must
    # keep many pixels. Therefore, it is not reduced to fewer pixels than `MOST_PIXELS_AT_ONCE`.
    most = factor if is_tall(width, height) or at_least is None else largest_factor
    decoder = next(offered for offered in decoder_factors if offered <= most)
    return Reduction(decoder, max(1, factor // decoder))
