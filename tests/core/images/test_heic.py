"""Test that HEIC files are read.

The library pi-heif, which the lab uses, cannot write HEIC files. The tests therefore read files in the folder `heic`,
which were written with pillow-heif 1.8.1.
"""

import struct
from pathlib import Path

import numpy as np
import pytest
from picture_files import encoded, rgb_profile
from PIL import Image

from thumblab_core.images import ImageError, Picture, decode, heif

HERE = Path(__file__).with_name("heic")


def heic(name: str) -> bytes:
    return (HERE / f"{name}.heic").read_bytes()


def read(name: str) -> Picture:
    return decode(heic(name))


def near(pixel: np.ndarray, wanted: tuple[int, int, int], most: int = 4) -> bool:
    return bool(np.abs(np.subtract(pixel.astype(int), wanted)).max() <= most)


def stating(data: bytes, width: int, height: int) -> bytes:
    """Return a copy of the HEIC file `data`. The header of the copy states the size `width` x `height`."""
    changed = bytearray(data)
    at = changed.index(b"ispe") + 8
    changed[at : at + 8] = struct.pack(">II", width, height)
    return bytes(changed)


def test_a_heic_has_the_pixels_of_the_picture_that_was_saved() -> None:
    picture = read("drawn")
    y, x = np.mgrid[0:180, 0:320]
    drawn = np.stack([x * 255 // 319, y * 255 // 179, ((x // 40 + y // 40) % 2) * 200], -1)
    assert (picture.format, picture.width, picture.height, picture.animated) == ("HEIC", 320, 180, False)
    assert np.abs(picture.pixels.astype(int) - drawn).mean() < 3


def test_a_heic_is_turned_upright_once() -> None:
    # The file states the rotation twice: as a transformation, which the decoder applies, and as EXIF orientation. The
    # lab must not apply the orientation again.
    picture = read("sideways")
    assert (picture.width, picture.height) == (64, 96)
    assert near(picture.pixels[8, 32], (0, 0, 254))
    assert near(picture.pixels[88, 32], (254, 0, 0))


def test_the_profile_of_a_heic_is_applied() -> None:
    wide = Image.new("RGB", (64, 64), (200, 60, 60))
    as_png = decode(encoded(wide, icc_profile=rgb_profile("Display P3"))).pixels[9, 9]
    assert near(read("display-p3").pixels[9, 9], tuple(as_png))
    assert not near(as_png, (200, 60, 60))


def test_transparent_grey_and_deep_heics_become_rgb_of_eight_bits() -> None:
    assert near(read("clear").pixels[9, 9], (255, 255, 255))
    assert near(read("grey").pixels[9, 9], (90, 90, 90))
    assert near(read("ten-bit").pixels[9, 9], (156, 156, 156))


def test_only_the_main_picture_of_a_heic_with_several_pictures_is_read_and_the_result_says_so() -> None:
    picture = read("several")
    assert near(picture.pixels[9, 9], (254, 0, 0))
    assert picture.animated


@pytest.mark.parametrize("brand", [b"heix", b"mif1"])
def test_a_heic_is_recognised_by_any_of_its_brands(brand: bytes) -> None:
    data = bytearray(heic("drawn"))
    data[8:12] = brand
    assert decode(bytes(data)).format == "HEIC"


def test_a_heic_that_ends_early_is_damaged() -> None:
    data = heic("drawn")
    for cut in (20, len(data) // 3, len(data) // 2, len(data) - 40):
        with pytest.raises(ImageError, match="damaged"):
            decode(data[:cut])


def test_a_heic_of_too_many_pixels_is_refused() -> None:
    with pytest.raises(ImageError, match="6000x5000 pixels; a HEIC file may have at most 25 million"):
        decode(stating(heic("clear"), 6_000, 5_000))


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        ((64, 64), "Security limit exceeded: Image size 320x184"),  # The decoder stops before it allocates the pixels.
        ((300, 170), "does not have the size signaled in the file"),
        ((1_000, 1_000), "does not have the size signaled in the file"),
    ],
)
def test_a_heic_with_pixels_of_another_size_than_its_header_states_is_refused(
    size: tuple[int, int], reason: str
) -> None:
    with pytest.raises(ImageError, match=rf"damaged \(.*{reason}"):
        decode(stating(heic("drawn"), *size))


def test_a_heic_that_needs_more_memory_than_its_process_has_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heif, "_MEMORY", 34 * 2**20)
    with pytest.raises(ImageError, match=r"the HEIC file needs too much memory or time|damaged"):
        read("drawn")
