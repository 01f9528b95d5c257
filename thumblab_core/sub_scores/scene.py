"""A picture at the one size that its light, colours and edges are measured at, so that the file's size says little."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from thumblab_core.images import Pixels
from thumblab_core.sub_scores.evidence import Box

SIDE = 320
SHOWN = 120
"""Pixels of the width in which a thumbnail is shown beside a video: the smallest that most viewers choose from."""
_SHORTEST = 8

Plane = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Scene:
    """A picture whose longer side has 320 pixels; `rgb` is uint8 [h, w, 3]."""

    rgb: Pixels

    @classmethod
    def of(cls, image: Pixels) -> "Scene":
        return cls(fitted(image, SIDE))

    @cached_property
    def grey(self) -> Pixels:
        import cv2

        grey: Pixels = cv2.cvtColor(self.rgb, cv2.COLOR_RGB2GRAY)
        return grey

    @cached_property
    def lab(self) -> Plane:
        """CIE L*a*b*, float32 [h, w, 3]; L* 0 to 100."""
        import cv2

        lab: Plane = cv2.cvtColor(self.rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
        return lab

    @cached_property
    def shown(self) -> Pixels:
        """The luminance when the picture is shown 120 pixels wide."""
        import cv2

        height, width = self.grey.shape
        size = (SHOWN, max(1, round(height * SHOWN / width)))
        shown: Pixels = cv2.resize(self.grey, size, interpolation=cv2.INTER_AREA)
        return shown

    def part(self, plane: npt.NDArray[Any], box: Box, least: int = 1) -> npt.NDArray[Any]:
        """The pixels of a plane of the picture, of any size, inside the box; at least so many a side where it has them."""
        height, width = plane.shape[:2]
        top, bottom = _span(box.y, box.height, height, least)
        left, right = _span(box.x, box.width, width, least)
        return plane[top:bottom, left:right]


def fitted(image: Pixels, side: int, enlarge: bool = True) -> Pixels:
    """The picture with its longer side brought to `side` pixels."""
    import cv2

    scale = side / max(image.shape[:2])
    if scale == 1 or (scale > 1 and not enlarge):
        return image
    size = [max(_SHORTEST, round(length * scale)) for length in (image.shape[1], image.shape[0])]
    resized: Pixels = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return resized


def _span(start: float, length: float, size: int, least: int) -> tuple[int, int]:
    middle, half = (start + length / 2) * size, max(length * size, least) / 2
    first = int(min(max(round(middle - half), 0), max(size - least, 0)))
    return first, int(min(max(round(middle + half), first + least), size))
