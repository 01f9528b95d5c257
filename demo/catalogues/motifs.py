"""Draw the clutter shapes in the background of a thumbnail. Each niche has one kind of shape."""

import cv2
import numpy as np
import numpy.typing as npt

WIDTH, HEIGHT = 640, 360
"""The size of a drawn thumbnail in pixels."""

Colour = tuple[int, int, int]
Place = tuple[int, int]
Canvas = npt.NDArray[np.uint8]


def rgb(red: float, green: float, blue: float) -> Colour:
    """Convert red, green and blue to whole numbers from 0 to 255, and return them as a colour.

    A number outside this range is clipped to it, and the digits after the decimal point are cut off.
    """
    return tuple(int(min(255.0, max(0.0, value))) for value in (red, green, blue))  # type: ignore[return-value]


def lit(colour: Colour, gain: float) -> Colour:
    """Return the colour multiplied by `gain`."""
    return rgb(*(value * gain for value in colour))


def spread(count: int, rng: np.random.Generator) -> list[Place]:
    """Return `count` evenly spread places on the canvas.

    The places are the R2 sequence of Roberts (2018) from a random start. Shapes at independent random places would
    overlap, so their number could not be seen in the picture.
    """
    start, step = rng.random(2), np.array([0.7548776662466927, 0.5698402909980532])
    points = (start + np.arange(count)[:, None] * step) % 1.0
    return [(int(x * WIDTH), int(y * HEIGHT)) for x, y in points]


def _polygon(canvas: Canvas, points: npt.NDArray[np.float64], colour: Colour) -> None:
    cv2.fillPoly(canvas, [points.astype(np.int32)], colour, cv2.LINE_AA)


def _square(canvas: Canvas, place: Place, colour: Colour, rng: np.random.Generator) -> None:
    (x, y), half = place, int(rng.uniform(18, 24))
    cv2.rectangle(canvas, (x - half, y - half), (x + half, y + half), colour, -1)
    cv2.rectangle(canvas, (x - half, y - half), (x + half, y + half), lit(colour, 0.6), 3)


def _device(canvas: Canvas, place: Place, colour: Colour, rng: np.random.Generator) -> None:
    (x, y), wide = place, int(rng.uniform(17, 22))
    tall = int(wide * float(rng.uniform(1.5, 2.0)))
    cv2.rectangle(canvas, (x - wide, y - tall), (x + wide, y + tall), lit(colour, 0.45), -1)
    cv2.rectangle(canvas, (x - wide + 4, y - tall + 6), (x + wide - 4, y + tall - 10), colour, -1)


def _bars(canvas: Canvas, place: Place, colour: Colour, rng: np.random.Generator) -> None:
    x, y = place
    for index, tall in enumerate(rng.uniform(24, 56, 3)):
        left = x + index * 17
        cv2.rectangle(canvas, (left, y - int(tall)), (left + 12, y), colour, -1)


def _star(canvas: Canvas, place: Place, colour: Colour, rng: np.random.Generator) -> None:
    radius, turn = float(rng.uniform(26, 32)), float(rng.uniform(0, 1.2))
    angles = turn + np.arange(10) * np.pi / 5
    reach = np.where(np.arange(10) % 2 == 0, radius, radius * 0.45)[:, None]
    _polygon(canvas, np.array(place) + reach * np.stack([np.cos(angles), np.sin(angles)], axis=1), colour)


def _heart(canvas: Canvas, place: Place, colour: Colour, rng: np.random.Generator) -> None:
    t = np.linspace(0, 2 * np.pi, 28)
    curve = np.stack(
        [16 * np.sin(t) ** 3, -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))], axis=1
    )
    _polygon(canvas, np.array(place) + curve * float(rng.uniform(1.4, 1.7)), colour)


def _flower(canvas: Canvas, place: Place, colour: Colour, rng: np.random.Generator) -> None:
    (x, y), radius = place, int(rng.uniform(12, 15))
    for angle in np.arange(5) * 2 * np.pi / 5:
        cv2.circle(
            canvas, (int(x + radius * np.cos(angle)), int(y + radius * np.sin(angle))), radius, colour, -1, cv2.LINE_AA
        )
    cv2.circle(canvas, (x, y), radius * 2 // 3, lit(colour, 1.5), -1, cv2.LINE_AA)


def _stripe(canvas: Canvas, place: Place, colour: Colour, rng: np.random.Generator) -> None:
    (x, y), long, tall = place, float(rng.uniform(80, 110)), float(rng.uniform(16, 20))
    points = np.array([[x, y], [x + long, y], [x + long - tall, y + tall], [x - tall, y + tall]], dtype=np.float64)
    _polygon(canvas, points, colour)


MOTIFS = {
    "square": _square,
    "device": _device,
    "bars": _bars,
    "star": _star,
    "heart": _heart,
    "flower": _flower,
    "stripe": _stripe,
}
"""The drawing functions by name. Each function draws one shape on the canvas (uint8 RGB), in shades of the given
colour.
"""
