"""Draw a thumbnail from six standardised attributes and random variation.

The attributes of a picture affect the views of its video. The words in the picture affect the views only if an
interaction is planted (see `effects`). Nothing else in the picture affects the views. Each attribute therefore changes
something that is large and easy to see, such as an area, a colour or an edge. The random variation hides the attributes
only a little. The catalogue tests whether the lab finds a visible signal, and not how well an encoder recognises small
details.
"""

import threading
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from demo.catalogues.motifs import HEIGHT, MOTIFS, WIDTH, Canvas, Colour, lit, rgb, spread

JPEG_QUALITY = 88

ATTRIBUTES = ("subject_size", "warmth", "saturation", "contrast", "calm", "text_size")
"""The planted attributes. The numbers of every attribute vector are in this order.

A larger value has these effects:
- `subject_size`: the head is larger.
- `warmth`: blue turns to orange.
- `saturation`: grey turns to vivid colours.
- `contrast`: the background is darker, and the person is brighter.
- `calm`: there are fewer clutter shapes.
- `text_size`: the letters are higher.

Each attribute is standard normal over the videos of a channel.
"""

_LIMIT = 2.5
"""The largest absolute value of an attribute in a drawing. With a larger value, a head would fill the picture."""

_SKINS = ((250, 214, 186), (238, 190, 152), (214, 158, 116), (176, 118, 82), (124, 80, 56))
_HAIRS = ((38, 28, 26), (74, 46, 30), (128, 84, 44), (206, 168, 98), (150, 62, 34), (112, 112, 118))
INKS = ((255, 255, 255), (255, 226, 40), (255, 255, 255), (120, 240, 255))
"""The colours of large text. The colour of a channel's text is chosen from them at random. White is listed twice, so it
is drawn twice as often.
"""
_SMALLEST_LETTERS = 18
"""Minimum letter size of the large text, in pixels."""


@dataclass(frozen=True)
class Style:
    """The properties that all thumbnails of a channel share.

    Args:
        hue: the channel's colour as an angle on the colour wheel, in radians.
        motif: the clutter shape of the niche, a key of `motifs.MOTIFS`.
        subject_right: whether the person is usually on the right. In 5 % of the pictures, the person is on the other
            side.
        rays: whether the background has rays like a sunburst.
        ink: the colour of the large text.
    """

    hue: float
    motif: str
    subject_right: bool
    rays: bool
    ink: Colour


def draw(attributes: npt.NDArray[np.float64], style: Style, words: tuple[str, str], rng: np.random.Generator) -> bytes:
    """Return a drawn thumbnail as a 640x360 JPEG.

    Args:
        attributes: the standardised attributes in the order of `ATTRIBUTES`, float64 (6,).
        style: the properties that the channel's pictures share.
        words: two lines of large text. The height of the letters is an attribute. A line too wide for the picture is
            drawn smaller.
        rng: the source of the random variation, such as pose, skin, hair, clothes, clutter and shades.
    """
    size, warmth, saturation, contrast, calm, text = np.clip(attributes, -_LIMIT, _LIMIT) / _LIMIT
    paint = _Paint(style.hue + float(rng.normal(0, 0.12)), float(warmth), float(saturation))
    ground = 118.0 - 62.0 * float(contrast)
    radius = HEIGHT * (0.205 + 0.105 * float(size))
    side = style.subject_right if rng.random() < 0.95 else not style.subject_right
    centre_x = WIDTH * ((0.72 if side else 0.28) + float(rng.uniform(-0.03, 0.03)))
    centre_y = HEIGHT * float(rng.uniform(0.46, 0.52) - 0.10 * size)

    canvas = _background(paint, ground, rng)
    if style.rays:
        _sunburst(canvas, (centre_x, centre_y), rng)
    for place in spread(round(18 - 16 * float(calm)), rng):
        colour = paint.colour(float(rng.uniform(0, 6.28)), ground + float(rng.uniform(40, 70)))
        MOTIFS[style.motif](canvas, place, colour, rng)
    _subject(canvas, (centre_x, centre_y), radius, paint, 1.0 + 0.22 * float(contrast), rng)
    _banner(canvas, words, 62 + 40 * float(text), side, style.ink, rng)
    graded = _grade(canvas, float(warmth))
    ok, encoded = cv2.imencode(".jpg", graded[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not ok:
        raise RuntimeError("OpenCV could not encode a drawn thumbnail as JPEG")
    return bytes(encoded.tobytes())


def _grade(canvas: Canvas, warmth: float) -> Canvas:
    """Return the canvas with more red and less blue if `warmth` is positive, and with less red and more blue if
    `warmth` is negative.

    `warmth` is from -1 to 1.
    """
    steps = np.arange(256)[None, :, None] * np.array([1.0 + 0.16 * warmth, 1.0, 1.0 - 0.22 * warmth])
    graded: Canvas = cv2.LUT(canvas, steps.clip(0, 255).astype(np.uint8))
    return graded


class _Paint:
    """A mixer of colours of a given luminance. `saturation` scales the chroma. `warmth` shifts blue to orange."""

    def __init__(self, hue: float, warmth: float, saturation: float) -> None:
        self.hue = hue
        self.warmth = warmth
        self.chroma = 50.0 * (1.0 + 0.75 * saturation)

    def colour(self, turn: float, luminance: float) -> Colour:
        """Return the RGB colour whose hue is `turn` radians away from the channel's hue."""
        angle = self.hue + turn
        red = self.chroma * np.cos(angle) + 42 * self.warmth
        blue = self.chroma * np.cos(angle + 2.094) - 42 * self.warmth
        green = self.chroma * np.cos(angle - 2.094)
        grey = luminance - (0.299 * red + 0.587 * green + 0.114 * blue)
        return rgb(grey + red, grey + green, grey + blue)


def _background(paint: _Paint, ground: float, rng: np.random.Generator) -> Canvas:
    turn = float(rng.uniform(-0.2, 0.2))
    corners = np.array(
        [
            [paint.colour(turn, ground + 26), paint.colour(turn + 0.35, ground + 6)],
            [paint.colour(turn + 0.5, ground - 4), paint.colour(turn + 0.9, ground - 28)],
        ],
        dtype=np.uint8,
    )
    # Enlarging the colours of the four corners makes a smooth gradient. Two enlargements take less time than one. The
    # first enlargement leaves a rim of constant colour, which is cut off before the second enlargement.
    small: Any = cv2.resize(np.ascontiguousarray(corners), (128, 72), interpolation=cv2.INTER_LINEAR)
    background: Canvas = cv2.resize(
        np.ascontiguousarray(small[18:54, 32:96]), (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR
    )
    return background


def _sunburst(canvas: Canvas, centre: tuple[float, float], rng: np.random.Generator) -> None:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    start = float(rng.uniform(0, 0.4))
    for index in range(14):
        angles = start + np.array([2 * index, 2 * index + 1]) * np.pi / 14
        far = np.array(centre) + 800 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        cv2.fillPoly(mask, [np.vstack([[centre], far]).astype(np.int32)], 16, cv2.LINE_AA)
    cv2.add(canvas, cv2.merge([mask, mask, mask]), dst=canvas)


def _subject(
    canvas: Canvas, centre: tuple[float, float], radius: float, paint: _Paint, gain: float, rng: np.random.Generator
) -> None:
    """Draw a head and shoulders with a white rim. `radius` is half the height of the head, in pixels."""
    x, y = centre
    skin = lit(_SKINS[int(rng.integers(len(_SKINS)))], 0.9 * gain)
    hair = lit(_HAIRS[int(rng.integers(len(_HAIRS)))], gain)
    shirt = lit(paint.colour(float(rng.uniform(2.6, 3.6)), 150), gain)
    long_hair = rng.random() < 0.5

    def oval(dx: float, dy: float, wide: float, tall: float, colour: Colour, grow: float = 0.0) -> None:
        at = (round(x + dx * radius), round(y + dy * radius))
        cv2.ellipse(
            canvas, at, (round(wide * radius + grow), round(tall * radius + grow)), 0, 0, 360, colour, -1, cv2.LINE_AA
        )

    def body(colours: tuple[Colour, Colour, Colour], grow: float) -> None:
        shirt_, hair_, skin_ = colours
        if long_hair:
            oval(0, 0.30, 0.98, 1.20, hair_, grow)
        oval(0, 2.25, 1.6, 1.25, shirt_, grow)
        waist = (round(x - 1.6 * radius - grow), round(y + 2.25 * radius))
        cv2.rectangle(canvas, waist, (round(x + 1.6 * radius + grow), HEIGHT), shirt_, -1)
        oval(0, 1.0, 0.30, 0.36, lit(skin_, 0.9) if not grow else skin_, grow)
        oval(0, -0.14, 0.86, 1.0, hair_, grow)
        oval(0, 0.05, 0.76, 0.95, skin_, grow)

    white = (255, 255, 255)
    body((white, white, white), 5)
    body((shirt, hair, skin), 0)
    oval(0, -0.72, 0.62, 0.34, hair)  # This oval is the fringe of the hair.

    gaze = float(rng.uniform(-0.05, 0.05))
    for eye in (-0.30, 0.30):
        oval(eye, -0.10, 0.17, 0.14, (250, 250, 250))
        oval(eye + gaze, -0.10, 0.08, 0.10, (30, 24, 24))
        oval(eye, -0.36, 0.19, 0.045, lit(hair, 0.9))
    oval(0, 0.16, 0.07, 0.12, lit(skin, 0.86))
    if rng.random() < 0.5:
        oval(0, 0.53, 0.20, 0.22, (120, 26, 34))  # These two ovals are an open mouth with teeth.
        oval(0, 0.42, 0.14, 0.06, white)
    else:
        oval(0, 0.48, 0.32, 0.17, (160, 44, 52))  # This oval is a smile. The next oval covers its upper half.
        oval(0, 0.39, 0.36, 0.13, skin)


_font_lock = threading.Lock()


@lru_cache(maxsize=2048)
def _lettering(word: str, size: int, ink: Colour) -> tuple[Canvas, Canvas]:
    """Return two arrays for drawing a word with a dark rim, each uint8 (height, width, 3).

    To draw the word on a background, multiply the background by the first array and divide the product by 255. Then add
    the second array, which contains the colours of the word and its rim.
    """
    with _font_lock:  # A FreeType face is not thread-safe.
        font = ImageFont.load_default(size)
        rim, weight = max(2, size // 11), max(1, size // 34)
        left, top, right, bottom = font.getbbox(word, stroke_width=rim + weight)
        masks = []
        for stroke in (rim + weight, weight):
            mask = Image.new("L", (int(right - left) + 1, int(bottom - top) + 1))
            ImageDraw.Draw(mask).text((-left, -top), word, fill=255, font=font, stroke_width=stroke)
            masks.append((np.asarray(mask, dtype=np.float32) / 255.0)[:HEIGHT, :WIDTH, None])
    outer, inner = masks
    added = np.array(ink, dtype=np.float32) * inner + 14.0 * (outer - inner)
    kept = np.repeat(255.0 * (1.0 - outer), 3, axis=2)
    return kept.astype(np.uint8), added.clip(0, 255).astype(np.uint8)


@lru_cache(maxsize=2048)
def _width(word: str, size: int) -> int:
    """Return the width of a word in pixels, including the rim of its letters."""
    with _font_lock:
        rim, weight = max(2, size // 11), max(1, size // 34)
        left, _, right, _ = ImageFont.load_default(size).getbbox(word, stroke_width=rim + weight)
        return int(right - left) + 1


def _banner(
    canvas: Canvas, words: tuple[str, str], height: float, subject_right: bool, ink: Colour, rng: np.random.Generator
) -> None:
    size = max(_SMALLEST_LETTERS, 2 * round(height / 2))
    y = HEIGHT * float(rng.uniform(0.30, 0.40)) - size * 0.6
    for word in words:
        fitted = size
        while _width(word, fitted) > WIDTH and fitted > _SMALLEST_LETTERS:
            fitted -= 2
        kept, added = _lettering(word, fitted, ink)
        high, wide = kept.shape[:2]
        left = min(22, WIDTH - wide) if subject_right else max(0, WIDTH - 22 - wide)
        top = int(min(max(0.0, y), HEIGHT - high))
        region = canvas[top : top + high, left : left + wide]
        region[:] = cv2.add(cv2.multiply(region, kept, scale=1 / 255), added)
        y = top + size * 1.12
