"""The result of parsing a picture file: facts about the file, and a function that decodes its pixels."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]
"""A decoded picture: uint8 [height, width, 3], RGB."""

_STRIP = 2**20
"""The number of pixels that are converted to a Pillow image at a time."""


@dataclass(frozen=True)
class Raster:
    """A decoded picture that is not converted to a Pillow image yet.

    To save memory, the rows are converted strip by strip.

    `size` is width and height. `rows(top, bottom)` returns the rows from `top` to `bottom - 1`, as an image of mode L,
    LA, RGB, RGBA or CMYK.
    """

    size: tuple[int, int]
    rows: Callable[[int, int], Image.Image]

    def reduced(self, factor: int) -> Image.Image:
        """Return the picture with both sides divided by `factor`.

        Each pixel is the mean of the pixels that it replaces.
        """
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
class ParsedFile:
    """A picture file after parsing. No pixel is decoded yet.

    Attributes:
        size: width and height in pixels, within the limits of `limits.check_size`.
        profile: the ICC profile of the colours, not checked yet, or None for sRGB.
        exif: the EXIF data, not checked yet; empty or None if absent. It is a TIFF block, with or without the prefix
            that JPEG files put before it.
        load: decodes the pixels. `load(scale)` divides both sides by a factor of at most `scale`, if the format can be
            reduced while it is decoded. It returns the raster and the factor. The factor is 1 for PNG and WebP.
    """

    size: tuple[int, int]
    profile: bytes | None
    exif: bytes | None
    load: Callable[[int], tuple[Raster, int]]
