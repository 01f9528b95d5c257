"""From bytes to pixels: upright, in sRGB, transparency on white, without black bars, and no larger than anybody looks at."""

import math
import warnings
from dataclasses import dataclass

import numpy as np
from PIL import Image

from thumblab_core.images import limits
from thumblab_core.images.jpeg import open_jpeg
from thumblab_core.images.letterbox import WIDE, is_tall, without_bars
from thumblab_core.images.limits import ImageError
from thumblab_core.images.opened import Opened, Pixels
from thumblab_core.images.orientation import LYING, orientation, upright
from thumblab_core.images.png import open_png
from thumblab_core.images.profiles import to_srgb
from thumblab_core.images.store import digest
from thumblab_core.images.webp import open_webp

KEPT = 1920 * 1080
"""A picture is reduced by a whole factor to no fewer pixels than these; nothing in the lab looks at more than 640 a side."""

_OPEN = {"JPEG": open_jpeg, "PNG": open_png, "WEBP": open_webp}


@dataclass(frozen=True)
class Picture:
    """A decoded picture and what its file said of itself.

    `width` and `height` are those of the file's picture, upright and without bars; `pixels` of a large one are fewer.
    """

    pixels: Pixels
    format: str
    sha256: str
    width: int
    height: int


def decode(data: bytes, at_least: tuple[int, int] | None = None) -> Picture:
    """Decode JPEG, PNG or WebP bytes, first frame only.

    `at_least`: the width and height that are needed; a picture may come back smaller than it is, but not than these.

    Size and format are read from the header and checked before a pixel is decoded. A 4:3 picture whose upper and lower
    eighth are black is a 16:9 picture in YouTube's letterbox, and is cropped to it. Bars at the sides stay: there the
    uploader's own picture is narrow, and viewers see it with them. Raises `ImageError`.
    """
    limits.check_length(len(data))
    found = limits.format_of(data)
    try:
        # Pillow warns of odd metadata on standard error; what matters to us ends in an exception anyway.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            opened = _OPEN[found](data)
            lies = orientation(opened.exif)
            width, height = opened.size[::-1] if lies in LYING else opened.size
            image = _reduced(opened, width, height, at_least)
            pixels = np.asarray(_opaque(to_srgb(upright(image, lies), opened.profile)), dtype=np.uint8)
    except ImageError:
        raise
    except Exception as error:  # noqa: BLE001  a decoder fed hostile bytes raises almost anything
        raise limits.damaged(str(error) or type(error).__name__) from None
    kept = without_bars(pixels) if is_tall(width, height) else pixels
    if kept is not pixels:
        height = round(width / WIDE)
    return Picture(kept, found, digest(data), width, height)


def _reduced(opened: Opened, width: int, height: int, at_least: tuple[int, int] | None) -> Image.Image:
    """The picture, as its file has it, at the smallest size that is asked for, or that is worth keeping."""
    enough = max(1, min(width // at_least[0], height // at_least[1])) if at_least else math.inf
    factor = min(enough, math.isqrt(width * height // KEPT) or 1)
    # Bars are looked for in whole blocks of pixels, so what may have some is reduced only where it is large.
    scale = factor if is_tall(width, height) or at_least is None else enough
    raster, done = opened.load(int(scale))
    return raster.reduced(max(1, int(factor) // done))


def _opaque(image: Image.Image) -> Image.Image:
    if image.mode in ("LA", "RGBA"):
        ground = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(ground, image.convert("RGBA"))
    return image.convert("RGB")
