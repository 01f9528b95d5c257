"""A picture that is scaled to a fixed size.

Light, colours and edges are measured on such a picture, so that the size of the original has little effect.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from thumblab_core.images import Pixels
from thumblab_core.sub_scores.evidence import Box

SIDE = 320
"""Number of pixels of the longer side of a `ScaledPicture`."""
SHOWN = 120
"""Width in pixels of a thumbnail in the list beside a video. This is about the smallest width that most viewers see."""
_SHORTEST = 8
"""Minimum number of pixels of the shorter side after scaling."""

Plane = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ScaledPicture:
    """A picture whose longer side has 320 pixels.

    `rgb` is uint8 [h, w, 3]. `grey` is the luminance, uint8 [h, w]. `lab` is the picture in the colour space CIE
    L*a*b*, float32 [h, w, 3], where L* is 0 to 100. `shown` is the luminance of the picture when it is 120 pixels wide,
    uint8.
    """

    rgb: Pixels
    grey: Pixels
    lab: Plane
    shown: Pixels

    @classmethod
    def of(cls, image: Pixels) -> "ScaledPicture":
        import cv2

        rgb = fitted(image, SIDE)
        grey: Pixels = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        lab: Plane = cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
        size = (SHOWN, max(1, round(grey.shape[0] * SHOWN / grey.shape[1])))
        shown: Pixels = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
        return cls(rgb, grey, lab, shown)

    def part(self, plane: npt.NDArray[Any], box: Box, least: int = 1) -> npt.NDArray[Any]:
        """Return the pixels of `plane` that are inside the box. `plane` is an array of this picture, such as `grey`.

        If a side of the box is shorter than `least` pixels, the side is first lengthened to `least` pixels, as far as
        the picture allows.
        """
        height, width = plane.shape[:2]
        top, bottom = _span(box.y, box.height, height, least)
        left, right = _span(box.x, box.width, width, least)
        return plane[top:bottom, left:right]


def fitted(image: Pixels, side: int, enlarge: bool = True) -> Pixels:
    """Return the picture, scaled so that its longer side has `side` pixels.

    A smaller picture is enlarged only if `enlarge` is True.
    """
    import cv2

    scale = side / max(image.shape[:2])
    if scale == 1 or (scale > 1 and not enlarge):
        return image
    size = [max(_SHORTEST, round(length * scale)) for length in (image.shape[1], image.shape[0])]
    resized: Pixels = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return resized


def _span(start: float, length: float, size: int, least: int) -> tuple[int, int]:
    """Return the first pixel of a range, and the pixel after the last pixel of the range.

    `start` and `length` are fractions of `size`. A range of fewer than `least` pixels is widened to `least` pixels.
    """
    middle, half = (start + length / 2) * size, max(length * size, least) / 2
    first = int(min(max(round(middle - half), 0), max(size - least, 0)))
    return first, int(min(max(round(middle + half), first + least), size))
