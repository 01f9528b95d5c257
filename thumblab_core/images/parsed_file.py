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
        load: decodes the pixels. `load(factor)` divides both sides by `factor`, which is one of `decoder_factors`.
        decoder_factors: the factors by which the decoder can reduce the picture, the largest first, with 1 as the last.
        animated: whether the file contains more than one frame. `load` decodes the first frame.
    """

    size: tuple[int, int]
    profile: bytes | None
    exif: bytes | None
    load: Callable[[int], Raster]
    decoder_factors: tuple[int, ...] = (1,)
    animated: bool = False


def on_canvas(raster: Raster, place: tuple[int, int], canvas: tuple[int, int]) -> Raster:
    """Return a raster of the size `canvas`, with `raster` at `place` (left, top). The rest of the canvas is
    transparent.
    """
    width, height = raster.size
    if (width, height) == canvas:
        return raster
    left, top_row = place

    def rows(top: int, bottom: int) -> Image.Image:
        strip = Image.new("RGBA", (canvas[0], bottom - top))
        first, last = max(top, top_row), min(bottom, top_row + height)
        if first < last:
            strip.paste(raster.rows(first - top_row, last - top_row), (left, first - top))
        return strip

    return Raster(canvas, rows)


def averageable(strip: Image.Image) -> Image.Image:
    """Return a strip in a mode whose values can be averaged: L, LA, RGB or RGBA."""
    if strip.mode.startswith("I"):  # Pillow's own conversion would clip the 65,536 levels at 255.
        return Image.fromarray((np.asarray(strip) >> 8).astype(np.uint8))
    if strip.mode == "P":
        return strip.convert("RGBA" if "transparency" in strip.info else "RGB")
    return strip.convert("L") if strip.mode == "1" else strip
