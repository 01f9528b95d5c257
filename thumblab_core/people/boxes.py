"""Compare the boxes of faces in one picture."""

import hashlib
from collections.abc import Sequence

from thumblab_core.people.records import Box

WHOLE: Box = (0.0, 0.0, 1.0, 1.0)
"""The box of a whole picture."""

SAME = 0.5
"""Two boxes show the same face if the ratio of their common area to their joint area is at least this number."""

_COVERED = 0.5
"""A box shows a forgotten face if it overlaps the box of that face. The common area must be at least this share of the
area of the smaller box.
"""


def clipped(box: Sequence[float]) -> Box | None:
    """Return the part of the box that is inside the picture, or None if the box is outside the picture."""
    x0, y0, x1, y1 = (min(1.0, max(0.0, float(edge))) for edge in box)
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def face_id_of(sha256: str, detector: str, box: Box) -> str:
    """Return the id of a new face: 24 hexadecimal digits, the same for the same picture, detector and box."""
    edges = " ".join(f"{edge:.5f}" for edge in box)
    return hashlib.sha256(f"{sha256}\n{detector}\n{edges}".encode()).hexdigest()[:24]


def overlap(one: Box, other: Box) -> float:
    """Return the ratio of the common area of two boxes to their joint area, 0 to 1."""
    common = _common(one, other)
    return common / (_area(one) + _area(other) - common)


def covers(forgotten: Box, box: Box) -> bool:
    """Return whether a face in `box` is the face that was forgotten in the box `forgotten`.

    The overlap is compared with the area of the smaller box, because another detector may give a box of another size. A
    forgotten box of the whole picture covers every face in the picture.
    """
    return _common(forgotten, box) >= _COVERED * min(_area(forgotten), _area(box))


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _common(one: Box, other: Box) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return width * height if width > 0 and height > 0 else 0.0
