"""What is left of the layout in the size that viewers choose from: large shapes, readable text, the corner of the badge."""

from collections.abc import Iterable, Sequence

import numpy as np

from thumblab_core.images import Pixels
from thumblab_core.sub_scores.evidence import Box, Face, TextLine
from thumblab_core.sub_scores.scene import Scene

BADGE = Box(0.83, 0.84, 0.15, 0.12)
"""Where YouTube writes the length of the video: a box of about 48 by 22 pixels, 6 from the edges, on 320 by 180.

It is as wide as `12:34` needs; hours need more and seconds less, and other devices differ by a few pixels."""

_UNREADABLE, _READABLE = 4.0, 8.0
_CONTRAST = 3.0


def surviving_edges(scene: Scene) -> float:
    """Edge energy that is still there after the picture was shown 120 pixels wide, over that at 320: 0 to 1."""
    import cv2

    height, width = scene.grey.shape
    back = cv2.resize(scene.shown, (width, height), interpolation=cv2.INTER_LINEAR)
    return float(np.clip(_edges(back) / max(_edges(scene.grey), 1e-6), 0, 1))


def legibility(scene: Scene, lines: Sequence[TextLine]) -> float | None:
    """The share of the characters that can be read when the picture is 120 pixels wide; None without text.

    A line counts by its characters, times three factors from 0 to 1: its height (4 pixels and less cannot be read; from 8
    it can: 7 is what the 5 by 7 matrix needs to tell all letters apart, and the box of a line is a little higher), the
    contrast of its light and dark parts (WCAG 2.2, 1.4.3: 3 to 1 for large text) and what the badge leaves uncovered.
    """
    if not lines:
        return None
    letters = [sum(character.isalnum() for character in line.text) for line in lines]
    read = sum(count * _read(scene, line) for count, line in zip(letters, lines, strict=True))
    return float(np.clip(read / max(sum(letters), 1), 0, 1))


def readable(scene: Scene, line: TextLine) -> float:
    """How well a line can be read, 0 to 1, see `legibility`."""
    return _read(scene, line)


def badge_overlap(lines: Iterable[TextLine], faces: Iterable[Face], subject: Box | None) -> float:
    """The largest share of a text, a face or the subject that the badge hides."""
    boxes = [line.box for line in lines] + [face.box for face in faces] + ([subject] if subject else [])
    return max((box.covered_by(BADGE) for box in boxes), default=0.0)


def _read(scene: Scene, line: TextLine) -> float:
    size = (line.height_at_120 - _UNREADABLE) / (_READABLE - _UNREADABLE)
    contrast = (_contrast_ratio(scene.part(scene.shown, line.box)) - 1) / (_CONTRAST - 1)
    return float(np.clip(size, 0, 1) * np.clip(contrast, 0, 1) * (1 - line.box.covered_by(BADGE)))


def _contrast_ratio(luma: Pixels) -> float:
    """WCAG's ratio of the relative luminance of the light tenth to that of the dark tenth, of 8-bit luma."""
    dark, light = (np.percentile(luma, [5, 95]) / 255) ** 2.2
    return float((light + 0.05) / (dark + 0.05))


def _edges(grey: Pixels) -> float:
    import cv2

    dx = cv2.Sobel(grey, cv2.CV_32F, 1, 0, ksize=3)
    dy = cv2.Sobel(grey, cv2.CV_32F, 0, 1, ksize=3)
    return float(cv2.magnitude(dx, dy).mean())
