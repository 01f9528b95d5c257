"""Cut a face out of a stored picture, and make a whole picture small enough to be shown."""

import io
import math
from typing import TYPE_CHECKING

from thumblab_core.images import decode
from thumblab_core.people.records import Box

if TYPE_CHECKING:  # Only type checkers import Pillow here, because the import is slow.
    from PIL.Image import Image

SIDE = 112
"""Height and width of a crop in pixels."""

MOST_SIDE = 1280
"""Largest height and width of a whole picture in pixels."""

_MARGIN = 1.3
"""The side of the square that is cut out, as a multiple of the longer side of the face's box."""
_QUALITY = 85


def cropped(data: bytes, box: Box) -> bytes:
    """Return the face in `box` as a JPEG of 112x112 pixels. `data` contains the bytes of the picture file.

    If the square around the face would reach beyond the picture, the square is shifted into the picture. Raises
    `ImageError` if the picture cannot be decoded.
    """
    from PIL import Image

    # A picture of this reduced size has enough pixels, so that the crop need not be enlarged.
    needed = tuple(math.ceil(SIDE / max(after - before, 0.01)) for before, after in (box[::2], box[1::2]))
    image = Image.fromarray(decode(data, at_least=(needed[0], needed[1])).pixels)
    width, height = (box[2] - box[0]) * image.width, (box[3] - box[1]) * image.height
    side = min(max(1.0, _MARGIN * max(width, height)), image.width, image.height)
    left = _inside((box[0] + box[2]) / 2 * image.width, side, image.width)
    top = _inside((box[1] + box[3]) / 2 * image.height, side, image.height)
    crop = image.resize((SIDE, SIDE), Image.Resampling.LANCZOS, (left, top, left + side, top + side))
    return _jpeg(crop)


def whole(data: bytes) -> bytes:
    """Return a whole picture as a JPEG, reduced if it is larger than `MOST_SIDE`. `data` contains the bytes of the
    picture file.

    Raises `ImageError` if the picture cannot be decoded.
    """
    from PIL import Image

    image = Image.fromarray(decode(data, at_least=(MOST_SIDE, MOST_SIDE)).pixels)
    image.thumbnail((MOST_SIDE, MOST_SIDE), Image.Resampling.LANCZOS)
    return _jpeg(image)


def _jpeg(image: "Image") -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=_QUALITY)
    return out.getvalue()


def _inside(centre: float, side: float, length: int) -> float:
    """Return the coordinate at which a square with this side begins. The square is centred at `centre`, or shifted so
    that it lies within 0 to `length`.
    """
    return min(max(centre - side / 2, 0.0), length - side)
