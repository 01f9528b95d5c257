"""A picture whose file has been taken apart and of which no pixel has been decoded yet."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]
"""A decoded picture: uint8 [height, width, 3], RGB."""

_STRIP = 2**20
"""Pixels that are brought from the file's layout to ours at a time."""


@dataclass(frozen=True)
class Raster:
    """A decoded picture in its file's own layout, which is the one thing of its full size in memory.

    `rows(top, bottom)` gives some of them as an image of mode L, LA, RGB, RGBA or CMYK.
    """

    size: tuple[int, int]
    rows: Callable[[int, int], Image.Image]

    def reduced(self, factor: int) -> Image.Image:
        """The picture with each side divided by `factor`: every pixel the mean of those that it stands for."""
        width, height = self.size
        step = max(1, _STRIP // (width * factor)) * factor
        whole: Image.Image | None = None
        for top in range(0, height, step):
            strip = self.rows(top, min(top + step, height))
            if factor > 1:
                strip = strip.reduce(factor)
            if step >= height:
                return strip
            if whole is None:
                whole = Image.new(strip.mode, (strip.width, -(-height // factor)))
            whole.paste(strip, (0, top // factor))
        assert whole is not None
        return whole


@dataclass(frozen=True)
class Opened:
    """What a file says of its picture.

    `profile` is the ICC profile its colours are meant in, and None for sRGB; it has not been checked. `exif` is a TIFF
    block, with or without the prefix that JPEG gives it. `load(scale)` decodes, at a scale of 1/`scale` or the next larger
    one that the format has without decoding the whole; most have 1 only. It gives the raster and the scale.
    """

    size: tuple[int, int]
    profile: bytes | None
    exif: bytes | None
    load: Callable[[int], tuple[Raster, int]]
