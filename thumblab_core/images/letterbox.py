"""The black bars above and below a 16:9 picture that YouTube offers in 4:3."""

import numpy as np

from thumblab_core.images.limits import MIN_SIDE
from thumblab_core.images.opened import Pixels

WIDE = 16 / 9
_TALL = 4 / 3
_TOLERANCE = 0.015
_BLOCK = 16  # pixels: the largest field that JPEG encodes as one


def is_tall(width: int, height: int) -> bool:
    """Whether a picture is of 4:3, and so may have bars."""
    return abs(width / height / _TALL - 1) <= _TOLERANCE


def without_bars(pixels: Pixels) -> Pixels:
    """A 4:3 picture cropped to the 16:9 between its bars; the very same pixels where it has none."""
    height, width = pixels.shape[:2]
    kept = round(width / WIDE)
    bar = (height - kept) // 2
    if kept < MIN_SIDE or not (_black(pixels[:bar]) and _black(pixels[height - bar :][::-1])):
        return pixels
    return pixels[bar : bar + kept]


def _black(bar: Pixels) -> bool:
    """Whether a bar, its outer edge first, is black but for what JPEG leaves in it.

    The blocks that the picture reaches into carry its ringing, so the rows of whole blocks outside them are judged. In the
    25 barred pictures of 2,252 real ones these have a mean of at most 0.03 (of the brightest channel), and 99.9 % of them
    are at most 2; where bars were added and encoded at quality 20 it is 0.13 and 7. Of the others, cut or squeezed to 4:3,
    those that show no bars of their own have a mean of 8 or more. A bar without a whole block (YouTube's smallest size)
    is ringing all over: its outer half is judged more mildly.
    """
    whole = len(bar) // _BLOCK * _BLOCK
    mean, nearly_all = (1, 16) if whole else (4, 24)
    brightest = bar[: whole or len(bar) // 2].max(axis=2)
    brighter = np.count_nonzero(brightest > nearly_all)
    return bool(brightest.mean() <= mean and brighter * 1_000 <= brightest.size)
