"""Test perceptual hashes and the comparison of pictures."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from thumblab_core.images import Pixels, decode
from thumblab_core.images.perceptual import (
    NEAR,
    Appearance,
    distance,
    perceptual_hash,
    same_picture,
)

Draw = Callable[..., bytes]


def reencoded(pixels: Pixels, quality: int = 75, width: int | None = None) -> Pixels:
    """Resize the picture to `width`, if given, encode it as JPEG, and return the decoded JPEG."""
    image = Image.fromarray(pixels)
    if width is not None:
        image = image.resize((width, round(width * image.height / image.width)))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return decode(out.getvalue()).pixels


def with_text(pixels: Pixels, random: np.random.Generator) -> Pixels:
    """Return the picture with a box of text on 4 % of its area, at a random place."""
    image = Image.fromarray(pixels)
    width, height = image.width // 4, image.height // 6
    x, y = int(random.integers(0, image.width - width)), int(random.integers(0, image.height - height))
    pen = ImageDraw.Draw(image)
    pen.rectangle((x, y, x + width, y + height), fill=tuple(random.integers(0, 256, 3).tolist()))
    pen.text((x + 8, y + 8), "NEW TEXT", fill="white", font=ImageFont.load_default(30))
    return np.asarray(image)


@pytest.fixture(scope="module", params=[60, pytest.param(20, marks=pytest.mark.heavy)])
def real(shared_data: Path, request: pytest.FixtureRequest) -> list[Pixels]:
    """Every 60th real thumbnail of `shared_data`. In `make test-all`, the tests also run with every 20th thumbnail."""
    folder = shared_data / "thumbnails"
    with (folder / "videos.csv").open(encoding="utf-8-sig", newline="") as file:
        return [
            decode((folder / row["image"]).read_bytes()).pixels for row in list(csv.DictReader(file))[:: request.param]
        ]


def test_a_hash_fits_a_signed_64_bit_column_and_equal_pixels_have_equal_hashes(drawn: Draw) -> None:
    hashes = [perceptual_hash(decode(drawn(seed)).pixels) for seed in range(40)]
    assert all(-(2**63) <= number < 2**63 for number in hashes)
    assert any(number < 0 for number in hashes)
    assert hashes[3] == perceptual_hash(decode(drawn(3)).pixels)


def test_the_distance_counts_differing_bits_including_the_sign() -> None:
    assert distance(0, 0) == distance(-1, -1) == 0
    assert distance(0, -1) == 64
    assert distance(-(2**63), 2**63 - 1) == 64
    assert distance(-(2**63), 0) == 1
    assert distance(0b1011, 0b0110) == 3


@pytest.mark.parametrize(("quality", "width"), [(50, None), (20, None), (75, 320), (50, 320), (80, 1280)])
def test_a_real_picture_in_another_size_or_encoding_is_the_same_picture(
    real: list[Pixels], quality: int, width: int | None
) -> None:
    for pixels in real:
        other = reencoded(pixels, quality, width)
        assert distance(perceptual_hash(pixels), perceptual_hash(other)) <= 4
        assert same_picture(pixels, other)


def test_a_real_picture_looks_like_itself_in_another_encoding_or_a_little_cropped_but_not_like_another(
    real: list[Pixels],
) -> None:
    looks = [Appearance.of(pixels) for pixels in real]
    for look, pixels in zip(looks, real, strict=True):
        assert look.is_near(Appearance.of(reencoded(pixels, 50, 640)))
        height, width = pixels.shape[0] // 100, pixels.shape[1] // 100
        assert look.is_near(Appearance.of(np.ascontiguousarray(pixels[height:-height, width:-width])))
    assert not any(one.is_near(other) for n, one in enumerate(looks) for other in looks[:n])


def test_plain_pictures_of_two_colours_do_not_look_alike_although_their_hashes_are_equal() -> None:
    colours = [(255, 255, 255), (128, 128, 128), (200, 30, 30), (30, 200, 30)]
    looks = [Appearance.of(np.full((180, 320, 3), colour, np.uint8)) for colour in colours]
    assert {look.bits_from(looks[0]) for look in looks} == {0}
    assert not any(one.is_near(other) for n, one in enumerate(looks) for other in looks[:n])


def test_text_on_a_real_picture_makes_it_a_different_picture_even_if_the_hash_hardly_changes(
    real: list[Pixels],
) -> None:
    random = np.random.default_rng(0)
    unseen = 0
    for pixels in real:
        other = reencoded(with_text(pixels, random))
        unseen += distance(perceptual_hash(pixels), perceptual_hash(other)) <= 4
        assert not same_picture(pixels, other)
    assert unseen > len(real) // 10


def test_real_pictures_of_different_videos_are_far_apart(real: list[Pixels]) -> None:
    hashes = [perceptual_hash(pixels) for pixels in real]
    apart = [distance(a, b) for n, a in enumerate(hashes) for b in hashes[:n]]
    assert min(apart) > NEAR
    assert 30 < np.mean(apart) < 32
