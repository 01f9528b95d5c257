"""Pictures: decode what somebody sent, check it before it costs anything, and keep it under the hash of its bytes.

Which formats and sizes are read, in which colours, and what a picture costs at most, is in docs/pictures.md.
"""

from thumblab_core.images.decode import Picture, decode
from thumblab_core.images.letterbox import WIDE
from thumblab_core.images.limits import (
    FORMATS,
    MAX_BYTES,
    MAX_PIXELS,
    MAX_RATIO,
    MIN_SIDE,
    ImageError,
    read_file,
    too_long,
)
from thumblab_core.images.opened import Pixels
from thumblab_core.images.store import ImageStore, digest

__all__ = [
    "FORMATS",
    "MAX_BYTES",
    "MAX_PIXELS",
    "MAX_RATIO",
    "MIN_SIDE",
    "WIDE",
    "ImageError",
    "ImageStore",
    "Picture",
    "Pixels",
    "decode",
    "digest",
    "read_file",
    "too_long",
]
