"""Check and decode pictures from untrusted files.

docs/pictures.md describes which formats, sizes and colours are read, and how much memory a picture takes at most.
"""

from thumblab_core.images.decode import Picture, decode
from thumblab_core.images.digests import digest
from thumblab_core.images.letterbox import WIDE
from thumblab_core.images.limits import (
    FORMAT_NAMES,
    FORMATS,
    MAX_BYTES,
    MAX_PIXELS,
    MAX_RATIO,
    MIN_SIDE,
    ImageError,
    read_file,
    too_long,
)
from thumblab_core.images.parsed_file import Pixels

__all__ = [
    "FORMATS",
    "FORMAT_NAMES",
    "MAX_BYTES",
    "MAX_PIXELS",
    "MAX_RATIO",
    "MIN_SIDE",
    "WIDE",
    "ImageError",
    "Picture",
    "Pixels",
    "decode",
    "digest",
    "read_file",
    "too_long",
]
