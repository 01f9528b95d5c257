"""Test that pictures decode to the colours that a browser shows, whatever the profile or mode of the file."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from picture_files import (
    GREY,
    GREY_ALPHA,
    PALETTE,
    RGB,
    RGBA,
    SPACES,
    as_if_in,
    chunk,
    cmyk_profile,
    encoded,
    grey_profile,
    png,
    profile,
    rgb_profile,
    with_chunks,
)
from PIL import Image, ImageCms

from thumblab_core.images import decode


def painted() -> np.ndarray:  # type: ignore[type-arg]
    """Return pixels of every hue. No pixel is very dark.

    With 8 bits, ProPhoto has so few dark levels that very dark pixels cannot be compared.
    """
    hue, light = np.meshgrid(np.linspace(0, 255, 96), np.linspace(90, 250, 64))
    hsv = np.stack([hue, np.full_like(hue, 170), light], axis=-1).astype(np.uint8)
    return np.asarray(Image.fromarray(hsv, "HSV").convert("RGB"))


def flat(colour: int | tuple[int, ...], mode: str = "RGB") -> Image.Image:
    return Image.new(mode, (48, 48), colour)


def only_colour(data: bytes) -> list[int]:
    pixels = decode(data).pixels
    assert (pixels == pixels[0, 0]).all()
    return [int(value) for value in pixels[0, 0]]


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG"])
@pytest.mark.parametrize("space", SPACES)
def test_pictures_that_look_the_same_decode_alike_with_any_profile(space: str, kind: str) -> None:
    options = {"PNG": {}, "WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}[kind]
    srgb = painted()
    other = Image.fromarray(as_if_in(srgb, space))
    assert np.abs(np.asarray(other, int) - srgb).mean() > 3  # A decoder that ignores profiles would fail this test.
    data = encoded(other, kind, icc_profile=rgb_profile(space), **options)
    for at_least in (None, (32, 32)):
        pixels = decode(data, at_least).pixels
        expected = srgb if pixels.shape == srgb.shape else np.asarray(Image.fromarray(srgb).reduce(2))
        apart = np.abs(pixels.astype(int) - expected)
        assert apart.mean() < 1.5
        assert np.percentile(apart, 99) <= 8


def test_the_recorded_display_p3_picture_decodes_like_its_srgb_copy(shared_data: Path) -> None:
    folder = shared_data.parent / "cases" / "22-icc"
    if not folder.is_dir():
        pytest.skip(f"the recorded picture files are missing ({folder})")
    srgb, p3 = (decode((folder / name).read_bytes()).pixels.astype(int) for name in ("srgb.png", "display-p3.png"))
    assert np.abs(srgb - p3).max() <= 6


def test_an_srgb_profile_changes_no_pixel() -> None:
    image = Image.fromarray(painted())
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert (decode(encoded(image, icc_profile=srgb)).pixels == painted()).all()


def test_grey_pictures_follow_a_grey_or_rgb_profile() -> None:
    grey = flat(128, "L")
    # The pixels have 128 / 255 = 0.502 of the value of white. With a gamma of 1, the pixels also have 0.502 of the
    # light of white. The sRGB value of this light is 255 * (1.055 * 0.502 ** (1 / 2.4) - 0.055) = 188.
    linear = [188, 188, 188]
    assert only_colour(encoded(grey, icc_profile=grey_profile(1.0))) == pytest.approx(linear, abs=1)
    # With ProPhoto's gamma of 1.8, the pixels have 0.502 ** 1.8 = 0.289 of the light of white.
    # The sRGB value of this light is 255 * (1.055 * 0.289 ** (1 / 2.4) - 0.055) = 146. The test accepts 143 to 147.
    with_rgb = [145, 145, 145]
    colour = only_colour(with_chunks(encoded(grey), chunk(b"iCCP", b"p\0\0" + zlib.compress(rgb_profile("ProPhoto")))))
    assert colour == pytest.approx(with_rgb, abs=2)


def test_cmyk_follows_its_profile_and_is_ink_on_white_without_one() -> None:
    image = flat((255, 0, 0, 0), "CMYK")
    colour = only_colour(encoded(image, "JPEG", icc_profile=cmyk_profile((128, 128, 128))))
    assert colour == pytest.approx([119, 119, 119], abs=3)  # The expected value 119 is the grey with L* 50.
    assert only_colour(encoded(image, "JPEG", quality=100)) == pytest.approx([0, 255, 255], abs=2)


def test_alpha_is_kept_if_there_is_a_profile() -> None:
    image = flat((128, 128, 128, 0), "RGBA")
    image.paste((128, 128, 128, 255), (0, 0, 24, 48))
    pixels = decode(encoded(image, icc_profile=rgb_profile("ProPhoto"))).pixels
    assert pixels[9, 40].tolist() == [255, 255, 255]
    assert pixels[9, 9].tolist() == pytest.approx([145, 145, 145], abs=2)


good = rgb_profile("ProPhoto")


@pytest.mark.parametrize(
    "broken",
    [
        b"no profile",
        good[:200],
        good[:128] + b"\xff" * 4 + good[132:],
        good[:16] + b"Lab " + good[20:],
        good[:12] + b"link" + good[16:],
        grey_profile(1.0),
        cmyk_profile((0, 0, 0)),
        profile(b"RGB ", {}),
        good + bytes(4 * 2**20),
    ],
    ids=["text", "short", "table", "space", "link", "grey", "cmyk", "empty", "huge"],
)
def test_a_broken_or_unsuitable_profile_is_ignored(broken: bytes) -> None:
    image = Image.fromarray(painted())
    for kind, options in (("PNG", {}), ("WEBP", {"lossless": True}), ("JPEG", {})):
        assert (
            decode(encoded(image, kind, icc_profile=broken, **options)).pixels
            == decode(encoded(image, kind, **options)).pixels
        ).all()


def test_a_profile_with_endless_stages_takes_no_time() -> None:
    stages = struct.pack(">4s4xHHI", b"mpet", 3, 3, 60_000)
    matrix = struct.pack(">4s4xHH12f", b"matf", 3, 3, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0)
    at = 16 + 8 * 60_000
    endless = stages + struct.pack(">II", at, len(matrix)) * 60_000 + matrix
    colorants = rgb_profile("ProPhoto")
    tags = {colorants[at : at + 4]: at for at in range(132, 132 + 12 * 7, 12)}
    read = {
        name: colorants[int.from_bytes(colorants[at + 4 : at + 8], "big") :][
            : int.from_bytes(colorants[at + 8 : at + 12], "big")
        ]
        for name, at in tags.items()
    }
    image = flat((128, 128, 128))
    hostile = profile(b"RGB ", read | {b"D2B1": endless, b"D2B0": endless})
    assert only_colour(encoded(image, icc_profile=hostile)) == pytest.approx([145, 145, 145], abs=2)


def test_the_colour_chunks_of_png_apply_in_the_order_of_the_specification() -> None:
    data = encoded(flat((128, 128, 128)))
    gamma = chunk(b"gAMA", struct.pack(">I", 100_000))
    icc = chunk(b"iCCP", b"p\0\0" + zlib.compress(rgb_profile("ProPhoto")))
    as_it_is, linear, prophoto = [128] * 3, [188] * 3, [145] * 3
    for expected, notes in (
        (linear, [gamma]),
        (as_it_is, [chunk(b"gAMA", struct.pack(">I", 45_455))]),
        (as_it_is, [gamma, chunk(b"sRGB", b"\0")]),
        (prophoto, [gamma, chunk(b"sRGB", b"\0"), icc]),
        (linear, [icc, chunk(b"cICP", bytes([1, 8, 0, 1]))]),
        (as_it_is, [icc, chunk(b"cICP", bytes([1, 13, 0, 1]))]),
        # The second number, 16, is the code of PQ, a transfer curve for HDR. The colours of PQ depend on the screen, so
        # the decoder ignores this chunk and uses the ICC profile.
        (prophoto, [icc, chunk(b"cICP", bytes([9, 16, 0, 1]))]),
        (as_it_is, [chunk(b"gAMA", b"\0"), chunk(b"cHRM", bytes(32))]),
        (as_it_is, [gamma[:-1] + bytes([gamma[-1] ^ 1])]),
    ):
        assert only_colour(with_chunks(data, *notes)) == pytest.approx(expected, abs=2), notes
    p3 = [31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000]
    chromaticities = chunk(b"cHRM", struct.pack(">8I", *p3))
    data = encoded(Image.fromarray(as_if_in(painted(), "Display P3")))
    for notes in ([chromaticities], [chunk(b"cICP", bytes([12, 13, 0, 1]))]):
        apart = np.abs(decode(with_chunks(data, *notes)).pixels.astype(int) - painted())
        assert apart.mean() < 2


def test_the_exif_colour_space_adobe_rgb_without_a_profile_is_ignored_as_in_browsers() -> None:
    exif = Image.Exif()
    exif[0x8769] = {0xA001: 0xFFFF, 0xA005: {1: "R03"}}
    assert only_colour(encoded(flat((200, 60, 60)), "JPEG", exif=exif)) == only_colour(
        encoded(flat((200, 60, 60)), "JPEG")
    )


WHITE, BLACK = [255, 255, 255], [0, 0, 0]


@pytest.mark.parametrize(
    ("row", "depth", "colours", "notes", "left", "right"),
    [
        (b"\x00" * 4 + b"\xff" * 4, 1, GREY, [], BLACK, WHITE),
        (b"\x00" * 4 + b"\xff" * 4, 1, GREY, [chunk(b"tRNS", b"\0\0")], WHITE, WHITE),
        (b"\x55" * 8 + b"\xaa" * 8, 2, GREY, [], [85] * 3, [170] * 3),
        (b"\x55" * 8 + b"\xaa" * 8, 2, GREY, [chunk(b"tRNS", b"\0\2")], [85] * 3, WHITE),
        (b"\x11" * 16 + b"\xaa" * 16, 4, GREY, [chunk(b"tRNS", b"\0\1")], WHITE, [170] * 3),
        (b"\x20" * 32 + b"\x80" * 32, 8, GREY, [chunk(b"tRNS", b"\0\x80")], [32] * 3, WHITE),
        (b"\x20\x01" * 32 + b"\x20\x02" * 32, 16, GREY, [], [32] * 3, [32] * 3),
        (b"\x20\x01" * 32 + b"\x20\x02" * 32, 16, GREY, [chunk(b"tRNS", b"\x20\x02")], [32] * 3, WHITE),
        (b"\x20\x01" * 32 + b"\x90\x02" * 32, 16, GREY, [chunk(b"tRNS", b"\0\0")], [32] * 3, [144] * 3),
        (b"\x10\x20\x30" * 32 + b"\x40\x50\x60" * 32, 8, RGB, [], [16, 32, 48], [64, 80, 96]),
        (
            b"\x10\x20\x30" * 32 + b"\x40\x50\x60" * 32,
            8,
            RGB,
            [chunk(b"tRNS", b"\0\x10\0\x20\0\x30")],
            WHITE,
            [64, 80, 96],
        ),
        (b"\x10\1\x20\1\x30\1" * 32 + b"\x40\1\x50\1\x60\1" * 32, 16, RGB, [], [16, 32, 48], [64, 80, 96]),
        (
            b"\x10\1\x20\1\x30\1" * 32 + b"\x10\1\x20\1\x30\2" * 32,
            16,
            RGB,
            [chunk(b"tRNS", b"\x10\1\x20\1\x30\2")],
            [16, 32, 48],
            WHITE,
        ),
        (b"\x10\x20\x30" * 32 + b"\x40\x50\x60" * 32, 8, RGB, [chunk(b"tRNS", b"\0")], [16, 32, 48], [64, 80, 96]),
        (b"\x40\xff" * 32 + b"\x40\x00" * 32, 8, GREY_ALPHA, [], [64] * 3, WHITE),
        (b"\x40\1\xff\xff" * 32 + b"\x40\1\0\0" * 32, 16, GREY_ALPHA, [], [64] * 3, WHITE),
        (b"\x10\x20\x30\xff" * 32 + b"\0\0\0\x80" * 32, 8, RGBA, [], [16, 32, 48], [127] * 3),
        (b"\x10\1\x20\1\x30\1\xff\xff" * 32 + bytes(8) * 32, 16, RGBA, [], [16, 32, 48], WHITE),
        (
            b"\x00" * 16 + b"\x55" * 16,
            4,
            PALETTE,
            [chunk(b"PLTE", b"\1\2\3" * 5 + b"\7\x08\x09"), chunk(b"tRNS", b"\0")],
            WHITE,
            [7, 8, 9],
        ),
        (
            b"\x00" * 32 + b"\x01" * 32,
            8,
            PALETTE,
            [chunk(b"PLTE", b"\1\2\3\0\0\0"), chunk(b"tRNS", b"\xff\x80")],
            [1, 2, 3],
            [127] * 3,
        ),
    ],
)
def test_every_mode_of_png_has_the_right_values(
    row: bytes, depth: int, colours: int, notes: list[bytes], left: list[int], right: list[int]
) -> None:
    pixels = decode(png(row, 64, 40, depth, colours, *notes)).pixels
    assert pixels[20, 16].tolist() == left
    assert pixels[20, 48].tolist() == right
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) == (1 if left == right else 2)


def test_a_lossy_webp_with_alpha_is_on_white(drawn: object) -> None:
    image = flat((255, 0, 0, 0), "RGBA")
    image.paste((0, 0, 255, 255), (0, 0, 24, 48))
    pixels = decode(encoded(image, "WEBP", quality=90)).pixels
    assert pixels[20, 40].tolist() == [255, 255, 255]
    assert pixels[20, 8].tolist() == pytest.approx([0, 0, 255], abs=12)
    assert Image.open(io.BytesIO(encoded(image, "WEBP", quality=90))).mode == "RGBA"
