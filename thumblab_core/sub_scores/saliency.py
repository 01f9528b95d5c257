"""Where the eye is drawn: spectral residual (Hou & Zhang, CVPR 2007) of lightness and both colour axes."""

import numpy as np
import numpy.typing as npt

from thumblab_core.sub_scores.evidence import GRID, Box
from thumblab_core.sub_scores.scene import Plane

Map = npt.NDArray[np.float64]

_ROWS, _COLUMNS = 36, 64
_FLAT = 0.5
"""Standard deviation, in units of L*, under which a channel has nothing but rounding in it."""


def saliency(lab: Plane) -> Map:
    """The map of a picture, L*a*b* [h, w, 3], float64 [36, 64] with sum 1; all zero where nothing stands out."""
    import cv2

    small = cv2.resize(lab, (_COLUMNS, _ROWS), interpolation=cv2.INTER_AREA).astype(np.float64)
    found = np.zeros((_ROWS, _COLUMNS))
    for channel in range(3):
        plane = small[..., channel] - small[..., channel].mean()
        if plane.std() < _FLAT:
            continue
        spectrum = np.fft.fft2(plane)
        amplitude = np.log(np.abs(spectrum) + 1e-6)
        residual = amplitude - cv2.blur(amplitude, (3, 3))
        found += plane.std() * np.abs(np.fft.ifft2(np.exp(residual + 1j * np.angle(spectrum)))) ** 2
    found = cv2.GaussianBlur(found, (0, 0), 2.0)
    return found / found.sum() if found.sum() > 0 else np.zeros_like(found)


def grid(found: Map) -> tuple[tuple[float, ...], ...]:
    """The map as `GRID` cells whose largest is 1."""
    import cv2

    cells = cv2.resize(found, GRID[::-1], interpolation=cv2.INTER_AREA)
    cells = cells / cells.max() if cells.max() > 0 else cells
    return tuple(tuple(float(cell) for cell in row) for row in cells)


def concentration(found: Map) -> float:
    """How much of the saliency lies in its top tenth: 0 spread evenly (a tenth of it does), 1 all of it."""
    share = float(np.sort(found.ravel())[-found.size // 10 :].sum())
    return float(np.clip((share - 0.1) / 0.9, 0, 1))


def salient_box(found: Map) -> Box | None:
    """The box around the connected part with the most saliency, of what is above Otsu's threshold; None if none is."""
    import cv2

    if found.max() <= 0:
        return None
    scaled = np.asarray(found / found.max() * 255, np.uint8)
    _, above = cv2.threshold(scaled, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(above)
    if count < 2:
        return None
    mass = np.bincount(labels.ravel(), found.ravel(), count)
    x, y, width, height = (float(n) for n in stats[1 + int(np.argmax(mass[1:]))][:4])
    return Box(x / _COLUMNS, y / _ROWS, width / _COLUMNS, height / _ROWS)
