"""Test that each factor of the quality of a face, such as its sharpness, changes the quality in the right direction."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from thumblab_core.faces.alignment import SIDE, TEMPLATE, aligned
from thumblab_core.faces.detector import Detection, FaceDetector
from thumblab_core.faces.measure import FoundFace
from thumblab_core.faces.quality import quality
from thumblab_core.images import Pixels

CROP = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8), (0, 0), 1.0)


def face(points: npt.NDArray[np.float64] = TEMPLATE, confidence: float = 0.9) -> Detection:
    landmarks = tuple((float(x), float(y)) for x, y in points / SIDE)
    return Detection(0.1, 0.1, 0.9, 0.9, landmarks, confidence)  # type: ignore[arg-type]


def falls(values: list[float]) -> bool:
    return all(left > right + 0.01 for left, right in pairwise(values))


def test_a_smaller_face_is_worse_and_a_face_larger_than_the_crop_is_not_better() -> None:
    sizes = [quality(face(), CROP, (side, side)) for side in (224, 112, 80, 56, 28, 14)]
    assert sizes[0] == sizes[1]
    assert falls(sizes[1:])


def test_a_blurred_face_is_worse() -> None:
    blurred = [CROP, *(cv2.GaussianBlur(CROP, (0, 0), sigma) for sigma in (1, 2, 4, 8))]
    assert falls([quality(face(), crop, (SIDE, SIDE)) for crop in blurred])


def test_a_sharp_background_does_not_count() -> None:
    flat = np.full_like(CROP, 127)
    flat[:30], flat[:, :20] = CROP[:30], CROP[:, :20]
    assert quality(face(), flat, (SIDE, SIDE)) == 0


def turned_aside(shift: float) -> npt.NDArray[np.float64]:
    points = TEMPLATE.copy()
    points[2, 0] += shift
    return points


@pytest.mark.parametrize("direction", [-1, 1])
def test_a_face_turned_to_the_side_is_worse(direction: int) -> None:
    assert falls([quality(face(turned_aside(direction * x)), CROP, (SIDE, SIDE)) for x in (0, 4, 8, 12, 16)])
    assert quality(face(turned_aside(direction * 20)), CROP, (SIDE, SIDE)) == 0


def test_a_tilted_face_is_worse_but_better_than_a_face_turned_to_the_side() -> None:
    def tilted(degrees: float) -> float:
        angle = np.radians(degrees)
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        return quality(face((TEMPLATE - 56) @ turn + 56), CROP, (SIDE, SIDE))

    assert falls([tilted(degrees) for degrees in (0, 35, 60, 90)])
    # In the template, the eyes are not exactly level, so the two results differ a little.
    assert tilted(35) == pytest.approx(tilted(-35), abs=0.002)
    assert tilted(45) > quality(face(turned_aside(12)), CROP, (SIDE, SIDE))


def test_an_uncertain_face_is_worse() -> None:
    assert falls([quality(face(confidence=value), CROP, (SIDE, SIDE)) for value in (1, 0.8, 0.6, 0.3, 0)])


def test_eyes_at_one_point_give_no_quality() -> None:
    points = TEMPLATE.copy()
    points[1] = points[0]
    assert quality(face(points), CROP, (SIDE, SIDE)) == 0


def test_the_quality_is_a_share() -> None:
    best = quality(replace(face(), confidence=1.0), CROP, (5000, 5000))
    assert 0.8 < best <= 1
    assert FoundFace(face()).quality == 0


def test_real_faces_are_better_than_their_blurred_and_shrunk_copies(
    detector: FaceDetector, people: dict[str, list[Pixels]]
) -> None:
    def median(change: Callable[[Pixels], Pixels]) -> float:
        images = [change(image) for all_images in people.values() for image in all_images[:4]]
        found = [(image, face) for image in images for face in detector.find(image)[:1]]
        return float(
            np.median([quality(face, aligned(image, face.landmarks), image.shape[1::-1]) for image, face in found])
        )

    as_is = median(lambda image: image)
    assert as_is > 0.8
    assert median(lambda image: cv2.GaussianBlur(image, (0, 0), 2)) < as_is - 0.2
    assert median(lambda image: cv2.resize(image, (40, 40), interpolation=cv2.INTER_AREA)) < as_is - 0.2
