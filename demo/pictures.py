"""Resize the pictures of a catalogue to the thumbnail sizes that YouTube offers."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np

_QUALITY = 90
"""The quality of the JPEG files, from 0 to 100."""
_WIDE = 16 / 9
"""The aspect ratio of a wide picture, width over height."""


@dataclass(frozen=True, slots=True)
class Size:
    """The name of a thumbnail file, and the size of the thumbnail in pixels."""

    file: str
    width: int
    height: int


_SIZES = {
    "default": Size("default.jpg", 120, 90),
    "medium": Size("mqdefault.jpg", 320, 180),
    "high": Size("hqdefault.jpg", 480, 360),
    "standard": Size("sddefault.jpg", 640, 480),
}
_BY_FILE = {size.file: size for size in _SIZES.values()}
MAXRES = "maxresdefault.jpg"


def offered_sizes(width: int, height: int) -> dict[str, Size]:
    """Return the thumbnail sizes of a picture of `width` x `height` pixels, by the key that the API uses.

    `maxres` is the unchanged picture. Only pictures with the ratio 16:9 have this size. On YouTube, `maxres` is
    1280x720, but here it has the size of the picture. The size `medium` has the ratio 16:9. For `medium`, a picture of
    another ratio is cropped. All other sizes have the ratio 4:3. For these sizes, a picture of another ratio gets black
    bars.
    """
    return _SIZES | ({"maxres": Size(MAXRES, width, height)} if _is_wide(width, height) else {})


def render(picture: bytes, file: str) -> bytes | None:
    """Return the picture as JPEG bytes, in the size of the thumbnail file `file`.

    Return None if this size is not offered, or if the picture cannot be read.
    """
    if file != MAXRES and file not in _BY_FILE:
        return None
    pixels: Any = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR) if picture else None
    if pixels is None:
        return None
    height, width = pixels.shape[:2]
    if file == MAXRES:
        return picture if _is_wide(width, height) else None
    size = _BY_FILE[file]
    wide = size.width * 9 == size.height * 16
    return _encode(_crop(pixels, size.width, size.height) if wide else _letterbox(pixels, size.width, size.height))


@lru_cache(maxsize=1)
def missing() -> bytes:
    """Return a grey JPEG of 120x90 pixels, like the placeholder that YouTube sends with status 404."""
    pixels = np.full((90, 120, 3), 204, np.uint8)
    cv2.rectangle(pixels, (35, 27), (85, 63), (236, 236, 236), -1)
    cv2.fillPoly(pixels, [np.array([[53, 35], [53, 55], [71, 45]], np.int32)], (160, 160, 160), cv2.LINE_AA)
    return _encode(pixels)


def _is_wide(width: int, height: int) -> bool:
    return abs(width / height - _WIDE) < 0.03


def _crop(pixels: Any, width: int, height: int) -> Any:
    """Scale the picture until it covers the whole frame. Then cut off the parts outside the frame, equally on both
    sides.
    """
    scale = max(width / pixels.shape[1], height / pixels.shape[0])
    large = _resize(pixels, max(width, round(pixels.shape[1] * scale)), max(height, round(pixels.shape[0] * scale)))
    top, left = (large.shape[0] - height) // 2, (large.shape[1] - width) // 2
    return np.ascontiguousarray(large[top : top + height, left : left + width])


def _letterbox(pixels: Any, width: int, height: int) -> Any:
    """Scale the picture to fit into the frame and fill the rest with black bars."""
    scale = min(width / pixels.shape[1], height / pixels.shape[0])
    small = _resize(pixels, max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    frame = np.zeros((height, width, 3), np.uint8)
    top, left = (height - small.shape[0]) // 2, (width - small.shape[1]) // 2
    frame[top : top + small.shape[0], left : left + small.shape[1]] = small
    return frame


def _resize(pixels: Any, width: int, height: int) -> Any:
    if (width, height) == (pixels.shape[1], pixels.shape[0]):
        return pixels
    shrinking = width < pixels.shape[1]
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR)


def _encode(pixels: Any) -> bytes:
    ok, encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not ok:
        raise RuntimeError("OpenCV could not encode a thumbnail as JPEG")
    return bytes(encoded.tobytes())
