"""Measure how much of the layout is still visible when a picture is shown 120 pixels wide.

120 pixels is about the smallest width at which most viewers see a thumbnail when they choose a video. Three things are
measured: whether large shapes stay visible, whether text stays readable, and what the length badge hides.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from thumblab_core.images import Pixels
from thumblab_core.sub_scores.evidence import Box, Face, Line
from thumblab_core.sub_scores.scaled_picture import ScaledPicture

BADGE = Box(0.83, 0.84, 0.15, 0.12)
"""The length badge: the box in which YouTube writes the length of the video.

On a picture of 320 by 180 pixels, the badge has about 48 by 22 pixels and is 6 pixels from the edges. The width of 48
pixels is for `12:34`. The badge is wider if the video takes hours, and narrower if it takes seconds. Between devices,
its place and size differ by a few pixels.
"""

UNREADABLE, READABLE = 4.0, 8.0
"""Heights of a line in pixels when the picture is 120 pixels wide.

A line of at most 4 pixels cannot be read. A line of at least 8 pixels can be read.
"""
CONTRAST = 3.0
"""Contrast ratio that large text needs (WCAG 2.2, 1.4.3)."""


def surviving_edges(picture: ScaledPicture) -> float:
    """Return the edge energy (see `edge_energy`) at a width of 120 pixels, divided by the edge energy at 320 pixels, 0
    to 1.
    """
    import cv2

    height, width = picture.grey.shape
    enlarged = cv2.resize(picture.shown, (width, height), interpolation=cv2.INTER_LINEAR)
    return float(np.clip(edge_energy(enlarged) / max(edge_energy(picture.grey), 1e-6), 0, 1))


def contrast(picture: ScaledPicture, line: Line) -> float:
    """Return the WCAG contrast ratio between the light and the dark parts of a line when the picture is 120 pixels
    wide, 1 to 21.
    """
    return _contrast_ratio(picture.part(picture.shown, line.box))


def legibility(lines: Sequence[Line]) -> float | None:
    """Return the share of the letters that can be read when the picture is 120 pixels wide, or None without text."""
    if not lines:
        return None
    letters = sum(line.letters for line in lines)
    return float(np.clip(sum(line.letters * readable(line) for line in lines) / max(letters, 1), 0, 1))


def readable(line: Line) -> float:
    """Return how well a line can be read, 0 to 1. The result is the product of the line's `factors`."""
    return float(np.prod(list(factors(line).values())))


def factors(line: Line) -> dict[str, float]:
    """Return the three factors that make a line readable, by name, each 0 to 1.

    `height`: 0 if the line is at most 4 pixels high, 1 if it is at least 8 pixels high. The letters of a line of 8
    pixels are about 7 pixels high, which is enough to distinguish all letters. `contrast`: 1 from a contrast ratio of 3
    on. WCAG 2.2 (1.4.3) requires this ratio for large text. `uncovered`: the share of the line that the length badge
    does not cover.
    """
    return {
        "height": float(np.clip((line.height_at_120 - UNREADABLE) / (READABLE - UNREADABLE), 0, 1)),
        "contrast": float(np.clip((line.contrast - 1) / (CONTRAST - 1), 0, 1)),
        "uncovered": 1 - line.box.covered_by(BADGE),
    }


def badge_overlap(lines: Iterable[Line], faces: Iterable[Face], subject: Box | None) -> float:
    """Return how much of a text, a face or the subject the length badge hides: the largest of these shares, 0 to 1."""
    boxes = [line.box for line in lines] + [face.box for face in faces] + ([subject] if subject else [])
    return max((box.covered_by(BADGE) for box in boxes), default=0.0)


def _contrast_ratio(luma: Pixels) -> float:
    """Return the WCAG contrast ratio between the 95th and the 5th percentile of the brightness `luma`, uint8."""
    dark, light = (np.percentile(luma, [5, 95]) / 255) ** 2.2
    return float((light + 0.05) / (dark + 0.05))


def edge_energy(grey: Pixels) -> float:
    """Return the edge energy of a picture, which is the mean magnitude of its gradient."""
    import cv2

    dx = cv2.Sobel(grey, cv2.CV_64F, 1, 0, ksize=3)
    dy = cv2.Sobel(grey, cv2.CV_64F, 0, 1, ksize=3)
    # `cv2.magnitude` is not used, because it rounds some float32 values differently from call to call. The same picture
    # would then get a different sub-score when it is measured again.
    return float(np.sqrt(dx * dx + dy * dy).mean())
