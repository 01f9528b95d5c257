"""Draw pictures of people who do not exist, for the tests of the page about people. The tests need no real faces."""

import io

import numpy as np
from PIL import Image, ImageDraw

SIZE = (640, 360)
_SKINS = ["#f2d3bc", "#8d5a3b", "#e0ac86", "#c68a5e", "#5c3a26", "#f6dfd0"]
_HAIRS = ["#2b1d14", "#111111", "#b5651d", "#6b3d1e", "#d8b26a", "#7a7a7a"]
_SHIRTS = ["#2f6db3", "#b3442f", "#3a8a4d", "#7a4fa3", "#c9962b", "#22717a"]


def drawn_picture(people: list[int], seed: int) -> bytes:
    """Return a thumbnail with the people whose numbers are in `people`, from left to right.

    `seed` determines the background and the postures of the people. The face at each place is approximately at the
    position that `planted_people.box` returns for this place.
    """
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", SIZE, tuple(rng.integers(90, 230, 3).tolist()))
    draw = ImageDraw.Draw(image)
    for _ in range(5):
        x, y, r = (int(rng.integers(0, most)) for most in (640, 360, 120))
        draw.ellipse((x - r, y - r, x + r, y + r), fill=tuple(rng.integers(90, 230, 3).tolist()))
    for place, person in enumerate(people):
        x, y = 128 + 192 * place + int(rng.integers(-6, 7)), 180 + int(rng.integers(-6, 7))
        _draw_person(draw, x, y, person, smile=int(rng.integers(2, 14)))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=90)
    return out.getvalue()


def _draw_person(draw: ImageDraw.ImageDraw, x: int, y: int, person: int, smile: int) -> None:
    """Draw a person whose face has its centre at x and y. The larger `smile` is, the more the mouth curves."""
    skin, hair, shirt = (of[person % len(of)] for of in (_SKINS, _HAIRS[2:] + _HAIRS[:2], _SHIRTS))
    long_hair, glasses, beard = person % 2 == 0, person % 3 == 1, person % 4 == 3
    draw.rounded_rectangle((x - 90, y + 78, x + 90, y + 220), 50, fill=shirt)
    draw.rectangle((x - 18, y + 50, x + 18, y + 90), fill=skin)
    if long_hair:
        draw.rounded_rectangle((x - 66, y - 76, x + 66, y + 84), 60, fill=hair)
    draw.ellipse((x - 54, y - 68, x + 54, y + 70), fill=skin)
    draw.pieslice((x - 58, y - 78, x + 58, y + 30), 190, 350, fill=hair)
    if beard:
        draw.chord((x - 46, y - 10, x + 46, y + 70), 20, 160, fill=hair)
    for side in (-1, 1):
        eye = x + 22 * side
        draw.ellipse((eye - 9, y - 14, eye + 9, y + 2), fill="white")
        draw.ellipse((eye - 4, y - 11, eye + 4, y - 2), fill="#22333b")
        draw.line((eye - 11, y - 24, eye + 11, y - 24), fill=hair, width=4)
        if glasses:
            draw.ellipse((eye - 17, y - 23, eye + 17, y + 11), outline="#222222", width=3)
    draw.line((x, y - 2, x - 4, y + 18, x + 5, y + 18), fill="#7a4a38", width=3)
    draw.arc((x - 22, y + 30 - smile, x + 22, y + 34 + smile), 15, 165, fill="#9b2d30", width=5)
