"""Judge how well a face can be recognised.

The quality is the geometric mean of four factors from 0 to 1, so it is 0 if any factor is 0:

    quality = (size * sharpness * pose * confidence) ** (1/4)

size
    The distance between the eyes in pixels of the picture, divided by their distance in an aligned face (35 pixels), at
    most 1. A face with a smaller distance is enlarged, which adds no detail. ISO/IEC 29794-5 measures the size of a
    face by this distance too.
sharpness
    v / (v + 100), where v is the variance of the Laplacian in grey levels (Pech-Pacheco et al., ICPR 2000). v is measured
    from the brows to the mouth of the aligned face. The rest of the crop may show a sharp background or the edge of the
    picture, so it is not measured.
pose
    The product of yaw and roll. Yaw is 1 - 2 d. d says how far the nose is from the middle between the eyes, measured
    along the line of the eyes, in units of the distance between the eyes. So yaw is 1 for a nose in the middle, and 0
    for a nose below an eye. Roll is (1 + cos a) / 2, where a is the angle of the line of the eyes. The alignment
    corrects roll, so roll reduces the quality less than yaw.
confidence
    The confidence of the detector.
"""

import numpy as np
import numpy.typing as npt

from thumblab_core.faces.alignment import TEMPLATE
from thumblab_core.faces.detector import Detection

EYE_DISTANCE = float(np.hypot(*(TEMPLATE[1] - TEMPLATE[0])))
"""The distance in pixels between the eyes of an aligned face."""
_HALF_SHARP = 100.0
"""The variance of the Laplacian at which the sharpness is 1/2."""
_FACE = (slice(36, 100), slice(28, 84))
"""The rows and columns of an aligned face that contain the brows, the eyes, the nose and the mouth."""


def quality(face: Detection, crop: npt.NDArray[np.uint8], size: tuple[int, int]) -> float:
    """Return the quality of a face, 0 to 1.

    `crop` is the aligned face, uint8 [112, 112, 3] RGB. `size` is the width and height of its picture in pixels.
    """
    points = np.array(face.landmarks) * size
    factors = (_size(points), _sharpness(crop), _pose(points), face.confidence)
    return float(np.prod(np.clip(factors, 0, 1)) ** (1 / len(factors)))


def _size(points: npt.NDArray[np.float64]) -> float:
    return float(np.hypot(*(points[1] - points[0]))) / EYE_DISTANCE


def _sharpness(crop: npt.NDArray[np.uint8]) -> float:
    import cv2

    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    variance = float(cv2.Laplacian(grey, cv2.CV_64F)[_FACE].var())
    return variance / (variance + _HALF_SHARP)


def _pose(points: npt.NDArray[np.float64]) -> float:
    eyes = points[1] - points[0]
    distance = float(np.hypot(*eyes))
    if distance == 0:
        return 0.0
    direction = eyes / distance
    offset = abs(float((points[2] - points[:2].mean(0)) @ direction)) / distance
    return max(0.0, 1 - 2 * offset) * (1 + float(direction[0])) / 2
