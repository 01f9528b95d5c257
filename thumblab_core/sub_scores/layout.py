"""What is left of the layout in the size that viewers choose from: large shapes, readable text, the corner of the badge."""

from collections.abc import Iterable, Sequence

import numpy as np

from thumblab_core.images import Pixels
from thumblab_core.sub_scores.evidence import Box, Face, Line
from thumblab_core.sub_scores.scene import Scene

BADGE = Box(0.83, 0.84, 0.15, 0.12)
"""Where YouTube writes the length of the video: a box of about 48 by 22 pixels, 6 from the edges, on 320 by 180.

It is as wide as `12:34` needs; hours need more and seconds less, and other devices differ by a few pixels."""

UNREADABLE, READABLE = 4.0, 8.0
"""Pixels of height 120 pixels wide."""
CONTRAST = 3.0


def surviving_edges(scene: Scene) -> float:
    """Edge energy that is still there after the picture was shown 120 pixels wide, over that at 320: 0 to 1."""
    import cv2

    height, width = scene.grey.shape
    back = cv2.resize(scene.shown, (width, height), interpolation=cv2.INTER_LINEAR)
    return float(np.clip(_edges(back) / max(_edges(scene.grey), 1e-6), 0, 1))


def contrast(scene: Scene, line: Line) -> float:
    """WCAG's ratio of the relative luminance of the light parts of a line to that of its dark parts, 120 pixels wide."""
    return _contrast_ratio(scene.part(scene.shown, line.box))


def legibility(lines: Sequence[Line]) -> float | None:
    """The share of the letters that can be read when the picture is 120 pixels wide; None without text."""
    if not lines:
        return None
    letters = sum(line.letters for line in lines)
    return float(np.clip(sum(line.letters * readable(line) for line in lines) / max(letters, 1), 0, 1))


def readable(line: Line) -> float:
    """How well a line can be read, 0 to 1: the product of `factors`."""
    return float(np.prod(list(factors(line).values())))


def factors(line: Line) -> dict[str, float]:
    """What makes a line readable, each 0 to 1.

    Its height: 4 pixels and less cannot be read; from 8 it can, for 7 is what the 5 by 7 matrix needs to tell all letters
    apart, and the box of a line is a little higher. Its contrast (WCAG 2.2, 1.4.3: 3 to 1 for large text). What the badge
    leaves uncovered.
    """
    return {
        "height": float(np.clip((line.height_at_120 - UNREADABLE) / (READABLE - UNREADABLE), 0, 1)),
        "contrast": float(np.clip((line.contrast - 1) / (CONTRAST - 1), 0, 1)),
        "uncovered": 1 - line.box.covered_by(BADGE),
    }


def badge_overlap(lines: Iterable[Line], faces: Iterable[Face], subject: Box | None) -> float:
    """The largest share of a text, a face or the subject that the badge hides."""
    boxes = [line.box for line in lines] + [face.box for face in faces] + ([subject] if subject else [])
    return max((box.covered_by(BADGE) for box in boxes), default=0.0)


def _contrast_ratio(luma: Pixels) -> float:
    """WCAG's ratio of the relative luminance of the light tenth to that of the dark tenth, of 8-bit luma."""
    dark, light = (np.percentile(luma, [5, 95]) / 255) ** 2.2
    return float((light + 0.05) / (dark + 0.05))


def _edges(grey: Pixels) -> float:
    import cv2

    dx = cv2.Sobel(grey, cv2.CV_32F, 1, 0, ksize=3)
    dy = cv2.Sobel(grey, cv2.CV_32F, 0, 1, ksize=3)
    return float(cv2.magnitude(dx, dy).mean())
