"""Align a face: turn, scale and shift the picture so that the face's landmarks lie where the embedder expects them."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from thumblab_core.faces.detector import Point
from thumblab_core.images import Pixels

SIDE = 112
"""Height and width of an aligned face in pixels."""

TEMPLATE = np.array(
    [(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)]
)
"""Where the five landmarks lie in an aligned face, as (x, y) in pixels.

This is the template of ArcFace (Deng et al., CVPR 2019), which SFace and MobileFaceNet use too.
"""

_SMALLEST_SPREAD = 2.0
"""The root mean square distance of a face's landmarks from their centre, in pixels. A face with a smaller distance
cannot be aligned.
"""
_LARGEST_ERROR = 0.35
"""Largest share of the landmarks' variance that the best similarity transform may leave unexplained.

A face that is seen from the side leaves 0.18, because its landmarks cover only 1/3 of the usual width. Points on
one straight line leave 0.38 or more.
"""
_COARSE = 0.5
"""A picture that is scaled by less than this factor is reduced first. Otherwise, some pixels would have no effect."""


class UnalignableError(ValueError):
    """An error for landmarks that are too close together, or not arranged like a face."""


def similarity(points: npt.NDArray[np.float64], target: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the similarity transform that maps `points` to `target`, both [n, 2], with the least squared error.

    The transform turns, scales and shifts, and never mirrors. It is a matrix [2, 3] for column vectors (x, y, 1). The
    method is from Umeyama (IEEE PAMI 13(4), 1991), equations 40 to 43. Raises `UnalignableError` if the points coincide
    or are not finite.
    """
    if not np.isfinite(points).all():
        raise UnalignableError("the landmarks are not finite")
    mean, target_mean = points.mean(0), target.mean(0)
    centred, target_centred = points - mean, target - target_mean
    variance = (centred**2).sum() / len(points)
    if variance <= 0:
        raise UnalignableError("the landmarks lie at one point")
    u, values, v = np.linalg.svd(target_centred.T @ centred / len(points))
    signs = np.array([1.0, 1.0 if np.linalg.det(u) * np.linalg.det(v) > 0 else -1.0])
    turned = (u * signs) @ v
    scaled = turned * (values @ signs) / variance
    return np.column_stack([scaled, target_mean - scaled @ mean])


def aligned(image: Pixels, landmarks: Sequence[Point]) -> npt.NDArray[np.uint8]:
    """Return the aligned face that has these landmarks, uint8 [112, 112, 3] RGB.

    `image` is the whole picture, uint8 [h, w, 3] RGB. The landmarks are fractions of the picture's width and height, in
    the order of `Detection.landmarks`. If the face reaches beyond the picture, the pixels at the edge of the picture
    are repeated. Raises `UnalignableError` if the landmarks cannot belong to a face.
    """
    import cv2

    height, width = image.shape[:2]
    points = np.array(landmarks, np.float64) * (width, height)
    transform = similarity(points, TEMPLATE)
    _check(points, transform)
    scale = float(np.hypot(*transform[:, 0]))
    if scale < _COARSE:
        image = cv2.resize(
            image, (max(1, round(width * scale)), max(1, round(height * scale))), None, 0, 0, cv2.INTER_AREA
        )
        points = np.array(landmarks, np.float64) * (image.shape[1], image.shape[0])
        transform = similarity(points, TEMPLATE)
    # OpenCV counts positions from the centre of the first pixel. The landmarks are counted from the upper left corner
    # of the picture, half a pixel away.
    transform[:, 2] += transform[:, :2] @ (0.5, 0.5) - 0.5
    crop = cv2.warpAffine(image, transform, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(crop, np.uint8)


def _check(points: npt.NDArray[np.float64], transform: npt.NDArray[np.float64]) -> None:
    """Raise `UnalignableError` for landmarks that are too close together, or far from the shape of a face."""
    spread = float(np.sqrt(((points - points.mean(0)) ** 2).sum(1).mean()))
    if spread < _SMALLEST_SPREAD:
        raise UnalignableError("the landmarks are too close together")
    left = ((points @ transform[:, :2].T + transform[:, 2] - TEMPLATE) ** 2).sum()
    if left > _LARGEST_ERROR * ((TEMPLATE - TEMPLATE.mean(0)) ** 2).sum():
        raise UnalignableError("the landmarks are not arranged like those of a face")
