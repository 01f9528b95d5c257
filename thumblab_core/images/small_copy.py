"""Make small copies of pictures, for reports, maps and the answers of the service."""

import io
import math
from typing import TYPE_CHECKING

from thumblab_core.images.decode import decode
from thumblab_core.images.letterbox import WIDE

if TYPE_CHECKING:
    from PIL.Image import Image


def small_picture(data: bytes, width: int) -> "Image":
    """Return a copy of a picture that is `width` pixels wide. The copy is the middle of the picture, cropped to 16:9.

    Raises `ImageError` if the picture cannot be decoded.
    """
    from PIL import Image

    size = (width, round(width / WIDE))
    image = Image.fromarray(decode(data, at_least=size).pixels)
    scale = max(size[0] / image.width, size[1] / image.height)
    fitted = image.resize((math.ceil(image.width * scale), math.ceil(image.height * scale)), Image.Resampling.LANCZOS)
    left, top = (fitted.width - size[0]) // 2, (fitted.height - size[1]) // 2
    return fitted.crop((left, top, left + size[0], top + size[1]))


def as_jpeg(image: "Image", quality: int) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return out.getvalue()


def small_copy(data: bytes, width: int, quality: int) -> bytes:
    """Return the result of `small_picture` as a JPEG. Raises `ImageError` if the picture cannot be decoded."""
    return as_jpeg(small_picture(data, width), quality)
