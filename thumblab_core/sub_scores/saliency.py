"""Compute the saliency of a picture: how much each part of it stands out.

The method is the spectral residual (Hou & Zhang, CVPR 2007). It is applied to the lightness and to both colour axes.
"""

import numpy as np
import numpy.typing as npt

from thumblab_core.sub_scores.evidence import GRID, Box
from thumblab_core.sub_scores.scaled_picture import Plane

Map = npt.NDArray[np.float64]

_ROWS, _COLUMNS = 36, 64
"""Number of rows and of columns of the saliency map."""
_FLAT = 0.5
"""The standard deviation of an axis of L*a*b* below which the axis contains only rounding errors."""


def saliency(lab: Plane) -> Map:
    """Return the saliency map of a picture. `lab` is the picture in the colour space L*a*b*, [h, w, 3].

    The map is float64 [36, 64] with sum 1. If nothing stands out, all its values are 0.
    """
    import cv2

    small = cv2.resize(lab, (_COLUMNS, _ROWS), interpolation=cv2.INTER_AREA).astype(np.float64)
    saliency_map = np.zeros((_ROWS, _COLUMNS))
    for axis in range(3):
        plane = small[..., axis] - small[..., axis].mean()
        if plane.std() < _FLAT:
            continue
        spectrum = np.fft.fft2(plane)
        amplitude = np.log(np.abs(spectrum) + 1e-6)
        residual = amplitude - cv2.blur(amplitude, (3, 3))
        energy = np.abs(np.fft.ifft2(np.exp(residual + 1j * np.angle(spectrum)))) ** 2
        saliency_map += plane.std() * energy
    saliency_map = cv2.GaussianBlur(saliency_map, (0, 0), 2.0)
    total = saliency_map.sum()
    return saliency_map / total if total > 0 else np.zeros_like(saliency_map)


def grid(saliency_map: Map) -> tuple[tuple[float, ...], ...]:
    """Return the saliency map reduced to `GRID` cells, and scaled so that the largest value is 1."""
    import cv2

    cells = cv2.resize(saliency_map, GRID[::-1], interpolation=cv2.INTER_AREA)
    cells = cells / cells.max() if cells.max() > 0 else cells
    return tuple(tuple(float(cell) for cell in row) for row in cells)


def concentration(saliency_map: Map) -> float:
    """Return how concentrated the saliency is, 0 to 1.

    The most salient 10 % of the map are compared with the whole map. The result is 0 if they contain 10 % of the
    saliency, and 1 if they contain all of it.
    """
    share = float(np.sort(saliency_map.ravel())[-saliency_map.size // 10 :].sum())
    return float(np.clip((share - 0.1) / 0.9, 0, 1))


def salient_box(saliency_map: Map) -> Box | None:
    """Return the box around the most salient region, or None if nothing stands out.

    A region is a group of connected cells whose saliency is above Otsu's threshold.
    """
    import cv2

    if saliency_map.max() <= 0:
        return None
    scaled = np.asarray(saliency_map / saliency_map.max() * 255, np.uint8)
    _, above = cv2.threshold(scaled, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(above)
    if count < 2:
        return None
    mass = np.bincount(labels.ravel(), saliency_map.ravel(), count)
    x, y, width, height = (float(n) for n in stats[1 + int(np.argmax(mass[1:]))][:4])
    return Box(x / _COLUMNS, y / _ROWS, width / _COLUMNS, height / _ROWS)
