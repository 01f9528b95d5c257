"""Test the alignment of faces: the similarity transform, the crop, and landmarks that do not form a face."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thumblab_core.faces.alignment import SIDE, TEMPLATE, UnalignableError, aligned, similarity


def moved(
    points: npt.NDArray[np.float64], angle: float, scale: float, shift: tuple[float, float]
) -> npt.NDArray[np.float64]:
    cos, sin = np.cos(angle), np.sin(angle)
    turned: npt.NDArray[np.float64] = points @ np.array([[cos, sin], [-sin, cos]])
    return scale * turned + shift


def applied(transform: npt.NDArray[np.float64], points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return points @ transform[:, :2].T + transform[:, 2]


@given(
    angle=st.floats(-np.pi, np.pi),
    scale=st.floats(0.05, 20),
    x=st.floats(-1000, 1000),
    y=st.floats(-1000, 1000),
)
def test_every_similarity_transform_is_undone(angle: float, scale: float, x: float, y: float) -> None:
    points = moved(TEMPLATE, angle, scale, (x, y))
    np.testing.assert_allclose(applied(similarity(points, TEMPLATE), points), TEMPLATE, atol=1e-6)


def test_no_other_similarity_transform_has_a_smaller_error() -> None:
    random = np.random.default_rng(0)
    points = moved(TEMPLATE, 0.4, 2.5, (30, 10)) + random.normal(0, 6, (5, 2))
    best = similarity(points, TEMPLATE)
    error = ((applied(best, points) - TEMPLATE) ** 2).sum()
    for _ in range(500):
        a, b, x, y = random.normal(0, (0.01, 0.01, 1, 1))
        other = best + np.array([[a, -b, x], [b, a, y]])
        assert ((applied(other, points) - TEMPLATE) ** 2).sum() > error


def test_the_transform_never_mirrors() -> None:
    mirrored = TEMPLATE * (-1, 1)
    assert np.linalg.det(similarity(mirrored, TEMPLATE)[:, :2]) > 0


def picture_of_dots(points: npt.NDArray[np.float64], size: tuple[int, int], radius: float) -> npt.NDArray[np.uint8]:
    """Draw a white dot at each point of a black picture. The point (0, 0) is the upper left corner of the first pixel."""
    y, x = np.mgrid[: size[1], : size[0]] + 0.5
    near = min(size) * np.ones_like(x)
    for px, py in points:
        near = np.minimum(near, np.hypot(x - px, y - py))
    light = np.clip(255 * (radius + 0.5 - near), 0, 255).astype(np.uint8)
    return np.repeat(light[:, :, None], 3, 2)


@pytest.mark.parametrize(("angle", "scale"), [(0.0, 1.0), (0.5, 1.5), (-1.2, 3.0), (2.0, 6.0)])
def test_the_landmarks_of_the_crop_lie_on_the_template(angle: float, scale: float) -> None:
    points = moved(TEMPLATE - 56, angle, scale, (400.0, 360.0))
    image = picture_of_dots(points, (800, 720), 3 * scale)
    crop = aligned(image, [(x / 800, y / 720) for x, y in points])
    assert crop.shape == (SIDE, SIDE, 3)
    assert crop.dtype == np.uint8
    expected = picture_of_dots(TEMPLATE, (SIDE, SIDE), 3)
    assert np.abs(crop.astype(int) - expected).mean() < 1


def test_a_large_face_is_reduced_without_losing_pixels() -> None:
    # A chequerboard of single pixels must become grey when it is reduced. Sampling single pixels would result in black
    # and white pixels.
    image = np.repeat((np.indices((1120, 1120)).sum(0) % 2 * 255).astype(np.uint8)[:, :, None], 3, 2)
    crop = aligned(image, [(x / SIDE, y / SIDE) for x, y in TEMPLATE])
    assert np.abs(crop.astype(int) - 127).max() <= 2


def test_the_colours_stay_in_their_order() -> None:
    image = np.full((SIDE, SIDE, 3), (200, 100, 50), np.uint8)
    assert (aligned(image, [(x / SIDE, y / SIDE) for x, y in TEMPLATE]) == (200, 100, 50)).all()


@pytest.mark.parametrize(
    "points",
    [
        np.full((5, 2), 30.0),
        TEMPLATE * 0.01,
        np.full((5, 2), np.nan),
        np.outer(np.arange(5), (20.0, 8.0)),
        TEMPLATE * (-1, 1) + (112, 0),
        TEMPLATE[[4, 0, 3, 1, 2]],
    ],
    ids=["one point", "tiny", "not finite", "a line", "mirrored", "another order"],
)
def test_landmarks_that_are_no_face_are_refused(points: npt.NDArray[np.float64]) -> None:
    with pytest.raises(UnalignableError):
        aligned(np.zeros((SIDE, SIDE, 3), np.uint8), [(x / SIDE, y / SIDE) for x, y in points])


def test_a_face_seen_from_the_side_is_aligned() -> None:
    points = (TEMPLATE - 56) * (0.35, 1) + 56
    assert aligned(np.zeros((SIDE, SIDE, 3), np.uint8), [(x / SIDE, y / SIDE) for x, y in points]).shape == (
        112,
        112,
        3,
    )
