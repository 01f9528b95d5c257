"""Test that GIF, BMP and AVIF files are read, and that animations are recognised."""

import struct
from collections.abc import Callable

import numpy as np
import pytest
from picture_files import encoded, rgb_profile
from PIL import Image

from thumblab_core.images import ImageError, decode

RED, BLUE = Image.new("RGB", (64, 64), "red"), Image.new("RGB", (64, 64), "blue")


def colour(data: bytes, x: int = 9, y: int = 9) -> list[int]:
    return [int(value) for value in decode(data).pixels[y, x]]


def near(seen: list[int], wanted: tuple[int, int, int], most: int = 3) -> bool:
    return bool(np.abs(np.subtract(seen, wanted)).max() <= most)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "AVIF", "GIF"])
def test_an_animation_is_read_as_its_first_frame_and_the_picture_says_so(kind: str) -> None:
    lossless = {"lossless": True} if kind == "WEBP" else {}
    animation = encoded(RED, kind, save_all=True, append_images=[BLUE], **lossless)
    assert near(colour(animation), (255, 0, 0))
    assert decode(animation).animated
    assert not decode(encoded(RED, kind, **lossless)).animated


@pytest.mark.parametrize("kind", ["JPEG", "BMP"])
def test_a_still_picture_is_not_called_an_animation(kind: str) -> None:
    assert not decode(encoded(RED, kind)).animated


@pytest.mark.parametrize("interlace", [0, 1])
def test_a_gif_has_the_pixels_of_the_same_picture_as_png(drawn: Callable[..., bytes], interlace: int) -> None:
    pixels = decode(drawn(1, kind="PNG")).pixels
    for palette in (Image.fromarray(pixels).quantize(200), Image.fromarray(pixels).convert("L")):
        data = encoded(palette, "GIF", interlace=interlace)
        picture = decode(data)
        assert (picture.format, picture.width, picture.height) == ("GIF", 320, 180)
        assert (picture.pixels == np.asarray(palette.convert("RGB"))).all()


@pytest.mark.parametrize("mode", ["P", "L"])
def test_transparent_and_uncovered_parts_of_a_gif_are_white(mode: str) -> None:
    image = Image.new(mode, (64, 64), 3)
    if mode == "P":
        image.putpalette([250, 10, 10] * 256)
    image.paste(7, (20, 20, 40, 40))
    data = bytearray(encoded(image, "GIF", transparency=7))
    assert colour(bytes(data), 30, 30) == [255, 255, 255]
    inside = colour(bytes(data), 5, 5)
    assert inside != [255, 255, 255]
    data[6:10] = struct.pack("<HH", 100, 80)  # Make the canvas of the GIF larger than its frame.
    picture = decode(bytes(data))
    assert (picture.width, picture.height) == (100, 80)
    assert picture.pixels[5, 5].tolist() == inside
    assert picture.pixels[70, 90].tolist() == [255, 255, 255]


def test_a_gif_frame_beyond_its_canvas_enlarges_the_canvas() -> None:
    data = bytearray(encoded(RED.quantize(4), "GIF"))
    data[6:10] = struct.pack("<HH", 0, 0)
    picture = decode(bytes(data))
    assert (picture.width, picture.height) == (64, 64)


@pytest.mark.parametrize("kind", ["GIF", "BMP", "AVIF"])
def test_a_file_that_ends_early_is_damaged(drawn: Callable[..., bytes], kind: str) -> None:
    data = drawn(2, size=(1280, 720), kind=kind)
    for cut in (13, 20, len(data) // 3, len(data) // 2, len(data) - 40):
        with pytest.raises(ImageError, match="damaged"):
            decode(data[:cut])


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA"])
def test_a_bmp_of_any_depth_has_the_pixels_of_the_same_picture(drawn: Callable[..., bytes], mode: str) -> None:
    image = Image.fromarray(decode(drawn(1, kind="PNG")).pixels)
    image = image.quantize(30) if mode == "P" else image.convert(mode)
    picture = decode(encoded(image, "BMP"))
    assert (picture.format, picture.width, picture.height) == ("BMP", 320, 180)
    assert (picture.pixels == np.asarray(image.convert("RGB"))).all()


def test_a_bmp_may_begin_with_its_top_row(drawn: Callable[..., bytes]) -> None:
    pixels = decode(drawn(1, kind="PNG")).pixels
    data = bytearray(encoded(Image.fromarray(pixels), "BMP"))
    data[22:26] = struct.pack("<i", -180)
    assert (decode(bytes(data)).pixels == pixels[::-1]).all()


@pytest.mark.parametrize(
    ("at", "value", "reason"),
    [
        (14, 99, "its header is not a BMP header"),
        (18, 70_000, "at most 40 million"),
        (18, -64, "each side needs at least 32"),
        (30, 1, "the lab does not read compressed BMP files; save the picture as PNG"),
        (30, 4, "the lab does not read compressed BMP files; save the picture as PNG"),
        (46, 70_000, "its palette has 70000 colours"),
    ],
)
def test_a_bmp_with_a_hostile_header_is_refused(at: int, value: int, reason: str) -> None:
    data = bytearray(encoded(Image.new("P", (64, 600)), "BMP"))
    data[at : at + 4] = struct.pack("<i", value)
    with pytest.raises(ImageError, match=reason):
        decode(bytes(data))


def test_the_profile_of_a_bmp_is_applied() -> None:
    profile = rgb_profile("Display P3")
    plain = encoded(Image.new("RGB", (64, 64), (200, 60, 60)), "BMP")
    offset = 14 + 124
    header = bytearray(124)
    header[:40] = plain[14:54]
    header[:4] = struct.pack("<I", 124)
    header[56:60] = b"DEBM"
    header[112:120] = struct.pack("<II", 124 + len(plain) - 54, len(profile))
    data = plain[:10] + struct.pack("<I", offset) + bytes(header) + plain[54:] + profile
    as_png = encoded(Image.new("RGB", (64, 64), (200, 60, 60)), icc_profile=profile)
    assert colour(data) == colour(as_png) != [200, 60, 60]


def test_an_avif_looks_like_the_same_picture_as_png(drawn: Callable[..., bytes]) -> None:
    pixels = decode(drawn(1, kind="PNG")).pixels
    for options in ({"quality": 90}, {"quality": 100, "subsampling": "4:4:4"}):
        picture = decode(encoded(Image.fromarray(pixels), "AVIF", **options))
        assert (picture.format, picture.width, picture.height) == ("AVIF", 320, 180)
        assert np.abs(picture.pixels.astype(int) - pixels).mean() < 3


def test_an_avif_is_turned_upright_converted_to_srgb_and_put_on_white() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    sideways = decode(encoded(Image.new("RGB", (96, 64), "red"), "AVIF", exif=exif))
    assert (sideways.width, sideways.height) == (64, 96)
    profile = rgb_profile("Display P3")
    wide = Image.new("RGB", (64, 64), (200, 60, 60))
    assert near(
        colour(encoded(wide, "AVIF", quality=100, icc_profile=profile)), colour(encoded(wide, icc_profile=profile))
    )
    clear = Image.new("RGBA", (64, 64))
    assert near(colour(encoded(clear, "AVIF", quality=100)), (255, 255, 255))


def test_a_file_that_calls_itself_mif1_is_an_avif_if_it_lists_the_brand_avif() -> None:
    data = bytearray(encoded(RED, "AVIF"))
    data[8:12] = b"mif1"
    assert near(colour(bytes(data)), (255, 0, 0))


def test_an_avif_of_too_many_pixels_is_refused_before_it_is_decoded() -> None:
    data = bytearray(encoded(RED, "AVIF"))
    at = data.index(b"ispe") + 8
    data[at : at + 8] = struct.pack(">II", 4_100, 4_000)
    with pytest.raises(ImageError, match="4100x4000 pixels; an AVIF file may have at most 16 million"):
        decode(bytes(data))


@pytest.mark.slow
def test_an_avif_with_more_pixels_than_stated_takes_no_memory_of_this_process() -> None:
    import resource

    data = bytearray(encoded(Image.new("RGB", (9_000, 9_000), "red"), "AVIF", speed=10))
    at = data.index(b"ispe") + 8
    data[at : at + 8] = struct.pack(">II", 64, 64)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        assert decode(bytes(data)).pixels.shape == (64, 64, 3)
    except ImageError as error:
        assert "save the picture as PNG" in str(error) or "damaged" in str(error)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 1024


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP"])
@pytest.mark.parametrize("size", [(320, 180), (1280, 720), (1920, 1080), (1280, 960), (3841, 2161)])
def test_a_picture_is_decoded_once_for_all_sizes_that_give_the_same_pixels(
    drawn: Callable[..., bytes], kind: str, size: tuple[int, int]
) -> None:
    data = drawn(3, size=size, kind=kind)
    whole = decode(data)
    again = 0
    for at_least in (None, (96, 54), (336, 336), (640, 360), (5_000, 4_000)):
        same = whole.has_pixels_for(at_least)
        other = decode(data, at_least).pixels
        assert same == (other.shape == whole.pixels.shape)
        assert not same or (other == whole.pixels).all()
        again += not same
    if kind != "JPEG" and size[0] < 3_000:
        assert again == 0
