"""Decode a picture file into RGB pixels.

The decoded picture is upright and in sRGB. Transparent parts are white, and YouTube's black bars are removed. A large
picture is made smaller, because the lab uses at most 640 pixels a side.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from PIL import Image

from thumblab_core.images import limits
from thumblab_core.images.bmp import parse_bmp
from thumblab_core.images.digests import digest
from thumblab_core.images.gif import parse_gif
from thumblab_core.images.heif import parse_avif, parse_heic
from thumblab_core.images.jpeg import parse_jpeg
from thumblab_core.images.letterbox import WIDE, is_tall, without_bars
from thumblab_core.images.limits import ImageError
from thumblab_core.images.orientation import SIDEWAYS, orientation, upright
from thumblab_core.images.parsed_file import Pixels
from thumblab_core.images.png import parse_png
from thumblab_core.images.profiles import to_srgb
from thumblab_core.images.reduction import FULL_SIZE, Reduction, reduction
from thumblab_core.images.webp import parse_webp

_PARSERS = {
    "JPEG": parse_jpeg,
    "PNG": parse_png,
    "WEBP": parse_webp,
    "AVIF": parse_avif,
    "HEIC": parse_heic,
    "GIF": parse_gif,
    "BMP": parse_bmp,
}


@dataclass(frozen=True)
class Picture:
    """A decoded picture.

    Attributes:
        pixels: uint8 [h, w, 3] RGB. A large picture is reduced, so h and w may be smaller than `height` and `width`.
        format: a key of `limits.FORMATS`, such as `JPEG`.
        sha256: the SHA-256 of the file's bytes.
        width, height: the size of the full picture in the file, after it was turned upright and black bars were
        removed.
        animated: whether the file contains more than one frame. `pixels` is the first frame.
        reduced: by how much the decoder reduced the picture.
    """

    pixels: Pixels
    format: str
    sha256: str
    width: int
    height: int
    animated: bool = False
    reduced: Reduction = FULL_SIZE
    _decoder_factors: tuple[int, ...] = (1,)
    _file_size: tuple[int, int] | None = None

    def has_pixels_for(self, at_least: tuple[int, int] | None) -> bool:
        """Return whether `decode` with this `at_least` would return the pixels of this picture again."""
        size = self._file_size or (self.width, self.height)
        return reduction(size, self._decoder_factors, at_least) == self.reduced


def decode(data: bytes, at_least: tuple[int, int] | None = None) -> Picture:
    """Decode the first frame of a picture file. `limits.FORMATS` lists the formats.

    `at_least` is the width and height that the caller needs. The decoder may reduce the picture, but not to less than
    this size. The format and the limits are checked before any pixel is decoded, see `limits`. Raises `ImageError` if
    the file exceeds a limit or cannot be decoded.

    If the top 1/8 and the bottom 1/8 of a 4:3 picture are black, it is a 16:9 picture to which YouTube added bars. Such
    a picture is cropped to 16:9. Black bars at the left and right stay. Such bars mean that the uploader's own picture
    is narrow. Viewers see the picture with these bars.
    """
    limits.check_length(len(data))
    picture_format = limits.format_of(data)
    try:
        # Pillow warns about odd metadata, and these warnings are hidden. A picture that cannot be decoded raises an
        # exception, which is not hidden.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            file = _PARSERS[picture_format](data)
            turn = orientation(file.exif)
            width, height = file.size[::-1] if turn in SIDEWAYS else file.size
            reduced = reduction((width, height), file.decoder_factors, at_least)
            image = file.load(reduced.decoder).reduced(reduced.mean)
            pixels = np.asarray(_opaque(to_srgb(upright(image, turn), file.profile)), dtype=np.uint8)
    except ImageError:
        raise
    except Exception as error:  # noqa: BLE001  a decoder may raise almost any exception for hostile bytes
        raise limits.damaged(str(error) or type(error).__name__) from None
    file_size = (width, height)
    kept = without_bars(pixels) if is_tall(width, height) else pixels
    if kept is not pixels:
        height = round(width / WIDE)
    facts = (file.animated, reduced, file.decoder_factors, file_size)
    return Picture(kept, picture_format, digest(data), width, height, *facts)


def _opaque(image: Image.Image) -> Image.Image:
    """Return the image as RGB, with its transparent parts on a white background."""
    if image.mode in ("LA", "RGBA"):
        background = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(background, image.convert("RGBA"))
    return image.convert("RGB")
