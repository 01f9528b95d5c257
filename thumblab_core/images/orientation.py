"""Read the orientation from EXIF data, and turn a picture upright.

Only the orientation tag is read. So damage in other tags has no effect. These checks are made:

    byte order          `II*` or `MM*`; otherwise the picture counts as upright
    number of entries   at most 65,535, the largest number of two bytes; reading stops at the end of the block
    value               1 to 8; any other value leaves the picture as it is
"""

from typing import Literal

from PIL import Image

_TAG = 0x0112
_SHORT = 3
_ORDERS: dict[bytes, Literal["little", "big"]] = {b"II*\0": "little", b"MM\0*": "big"}
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = (5, 6, 7, 8)
"""Orientations in which the width of the picture in the file is the height of the upright picture."""


def orientation(exif: bytes | None) -> int:
    """Return the value of the orientation tag, or 1 (upright) if there is no readable tag. EXIF defines 1 to 8.

    `exif` is a TIFF block, with or without the prefix that JPEG files put before it.
    """
    block = exif or b""
    if block.startswith(b"Exif\0"):
        block = block[6:]
    order = _ORDERS.get(block[:4])
    if order is None:
        return 1
    start = int.from_bytes(block[4:8], order)
    end = start + 2 + 12 * int.from_bytes(block[start : start + 2], order)
    for at in range(start + 2, min(end, len(block) - 11), 12):
        if int.from_bytes(block[at : at + 2], order) == _TAG:
            width = 2 if int.from_bytes(block[at + 2 : at + 4], order) == _SHORT else 4
            return int.from_bytes(block[at + 8 : at + 8 + width], order)
    return 1


def upright(image: Image.Image, turn: int) -> Image.Image:
    """Return the image, turned and mirrored so that it is upright. `turn` is a value that `orientation` returned."""
    return image.transpose(_UPRIGHT[turn]) if turn in _UPRIGHT else image
