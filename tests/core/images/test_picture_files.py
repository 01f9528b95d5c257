"""Test which picture files are read.

A file is read if its pixels are complete. The other parts of the file, such as metadata, may have any content. If a
file has a format that is not supported, the error names the format.
"""

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from picture_files import RGB, chunk, encoded, png, segment, with_chunks, with_segments
from PIL import Image

from thumblab_core.images import MAX_BYTES, ImageError, decode, read_file

LARGE = os.urandom(3 * 2**20)


def painted(mode: str = "RGB") -> Image.Image:
    """Return a picture with a light upper part and a dark lower part, so that a wrong rotation changes its pixels."""
    image = Image.new("RGB", (96, 64), (200, 40, 40))
    image.paste((20, 20, 90), (0, 40, 96, 64))
    return image.convert(mode)


def same(data: bytes, other: bytes) -> bool:
    first, second = decode(data), decode(other)
    return first.format == second.format and bool((first.pixels == second.pixels).all())


def exif_of(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


@pytest.mark.parametrize("options", [{}, {"quality": 60, "progressive": True}])
def test_the_first_picture_of_a_jpeg_with_two_pictures_is_read(options: dict[str, object]) -> None:
    second = Image.new("RGB", (48, 32), "white")
    phone = encoded(painted(), "MPO", save_all=True, append_images=[second], **options)
    with Image.open(io.BytesIO(phone)) as image:
        assert image.format == "MPO"
    assert same(phone, encoded(painted(), "JPEG", **options))
    assert decode(phone, (32, 32)).format == "JPEG"


def test_recorded_phone_pictures_and_pngs_are_read(shared_data: Path) -> None:
    cases = shared_data.parent / "cases"
    if not cases.is_dir():
        pytest.skip(f"the recorded picture files are missing ({cases})")
    assert same((cases / "01-mpo" / "phone.jpg").read_bytes(), (cases / "01-mpo" / "plain.jpg").read_bytes())
    plain = (cases / "02-png-text" / "plain.png").read_bytes()
    assert same((cases / "02-png-text" / "ztxt.png").read_bytes(), plain)
    tones = decode((cases / "05-16bit" / "grey16-trns.png").read_bytes()).pixels
    assert 120 < tones.mean() < 127


@pytest.mark.parametrize(
    "notes",
    [
        lambda: [chunk(b"zTXt", b"note\0\0" + zlib.compress(bytes(64 * 2**20)))],
        lambda: [chunk(b"iTXt", b"note\0\1\0\0\0" + zlib.compress(LARGE))],
        [chunk(b"iTXt", b"no end")],
        [chunk(b"tEXt", b"note\0" + LARGE)],
        [chunk(b"tEXt", b"note\0" + LARGE[: 2**20 - 9])] * 4,
        lambda: [chunk(b"iCCP", b"p\0\0" + zlib.compress(LARGE))],
        lambda: [chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(64 * 2**20)))],
        [chunk(b"iCCP", b"p\0\0broken")],
        [chunk(b"eXIf", b"broken")],
        [chunk(b"eXIf", b"II*\0" + b"\xff" * 40)],
        [chunk(b"tIME", b""), chunk(b"pHYs", b""), chunk(b"gAMA", b""), chunk(b"cHRM", b"x"), chunk(b"sRGB", b"")],
        [chunk(b"tEXt", b"wrong sum")[:-1] + b"?"],
        [chunk(b"acTL", b""), chunk(b"fcTL", b"")],
        [chunk(b"quIT", os.urandom(99))],
    ],
)
def test_a_png_is_read_with_any_content_in_other_chunks(notes: list[bytes] | Callable[[], list[bytes]]) -> None:
    notes = notes() if callable(notes) else notes  # Compressing 64 MiB is slow, so only one test does it.
    plain = encoded(painted())
    assert same(with_chunks(plain, *notes), plain)
    assert same(plain[:-12] + b"".join(notes) + plain[-12:], plain)


@pytest.mark.parametrize(
    "notes",
    [
        [segment(0xE1, b"Exif\0\0" + b"\xff" * 60_000)],
        [segment(0xE1, b"Exif\0\0broken")],
        [segment(0xE2, b"MPF\0" + b"\0" * 40)],
        [segment(0xE2, b"ICC_PROFILE\0\1\2half of one")],
        [segment(0xE2, b"ICC_PROFILE\0")],
        [segment(0xED, b"Photoshop 3.0\0" + b"8BIM" * 9_000)] * 40,
        [segment(0xEF, b"\xff\xd8\xff\xda\0\x08" * 9_000)] * 40,
        [segment(0xFE, b"\xff" * 60_000)],
        [segment(0xE0, b"JFXX\0\x10" + b"\xff\xd8\xff")],
        [b"\xff" * 5_000 + segment(0xFE, b"after fill bytes")],
    ],
)
def test_a_jpeg_is_read_with_any_content_in_other_segments(notes: list[bytes]) -> None:
    plain = encoded(painted(), "JPEG")
    assert same(with_segments(plain, *notes), plain)
    assert same(plain + b"".join(notes) + os.urandom(999), plain)


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"WEBP" + b"".join(n + struct.pack("<I", len(b)) + b + b"\0" * (len(b) % 2) for n, b in chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def test_a_webp_is_read_with_any_content_in_other_chunks() -> None:
    plain = encoded(painted(), "WEBP", lossless=True)
    pixels = (plain[12:16], plain[20:])
    header = (b"VP8X", b"\x2c\0\0\0" + (95).to_bytes(3, "little") + (63).to_bytes(3, "little"))
    for notes in (
        [(b"EXIF", b"broken")],
        [(b"EXIF", b"Exif\0\0MM\0*" + b"\xff" * 99), (b"XMP ", LARGE)],
        [(b"ICCP", b"broken")],
        [(b"ICCP", LARGE * 2)],
        [],  # The header announces chunks that are missing.
        [(b"what", b"")],
    ):
        assert same(riff(header, *notes, pixels), plain)
        whole = riff(header, pixels, *notes)
        assert same(whole, plain)
        assert same(whole[:-1] if notes else whole, plain)  # Without its last byte, a file ends inside a chunk.
    assert same(
        encoded(painted(), "WEBP", lossless=True, exif=exif_of(6)),
        encoded(painted().rotate(-90, expand=True), "WEBP", lossless=True),
    )


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_the_orientation_is_read_even_if_the_rest_of_the_exif_is_broken(kind: str) -> None:
    exif = b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">HHHIHH", 3, 0x0112, 3, 1, 3, 0)
    exif += struct.pack(">HHII", 0x010F, 2, 2**31, 2**31) + b"\xff" * 30
    options = {"quality": 100} if kind == "JPEG" else {"lossless": True}
    if kind == "PNG":
        data = with_chunks(encoded(painted()), chunk(b"eXIf", exif[6:]))
    else:
        data = encoded(painted(), kind, exif=exif, **options)
    pixels = decode(data).pixels
    assert pixels[5, 40].tolist() == pytest.approx([20, 20, 90], abs=6)
    assert pixels[60, 40].tolist() == pytest.approx([200, 40, 40], abs=6)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_each_of_the_eight_orientations_is_turned_upright(orientation: int) -> None:
    corner = Image.new("RGB", (96, 64), "black")
    corner.paste("white", (0, 0, 48, 16))
    turned = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = corner.transpose(turned[orientation]) if orientation in turned else corner
    for kind in ("PNG", "JPEG"):
        picture = decode(encoded(stored, kind, exif=exif_of(orientation)))
        assert (picture.width, picture.height) == (96, 64)
        assert np.abs(picture.pixels.astype(int) - np.asarray(corner)).mean() < 2


def test_the_still_picture_of_an_animation_is_read() -> None:
    red, blue = Image.new("RGB", (64, 64), "red"), Image.new("RGB", (64, 64), "blue")
    for default in (False, True):
        animation = encoded(red, save_all=True, append_images=[blue], default_image=default)
        assert decode(animation).pixels[9, 9].tolist() == [255, 0, 0]
    small = Image.new("RGBA", (64, 64))
    small.paste("red", (20, 30, 40, 50))
    animation = encoded(small, "WEBP", save_all=True, append_images=[blue.convert("RGBA")], lossless=True)
    pixels = decode(animation).pixels
    assert pixels.shape == (64, 64, 3)
    assert pixels[40, 30].tolist() == [255, 0, 0]
    assert pixels[5, 5].tolist() == [255, 255, 255]


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"II*\0" + bytes(99), "a TIFF file"),
        (b"MM\0*" + bytes(99), "a TIFF file"),
        (b"\0\0\0\x18ftypisom" + bytes(99), "a video file"),
        (b"\xff\x0a" + bytes(99), "a JPEG XL file"),
        (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(99), "a JPEG 2000 file"),
        (b"%PDF-1.7", "a PDF file"),
        (b"8BPS" + bytes(99), "a Photoshop file"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG file"),
    ],
)
def test_the_error_names_a_format_that_is_not_supported(data: bytes, what: str) -> None:
    with pytest.raises(ImageError) as refusal:
        decode(data)
    assert (
        str(refusal.value)
        == f"{what}, not a JPEG, PNG, WebP, AVIF, HEIC, GIF or BMP picture; save the picture in one of these formats"
    )


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_file_with_missing_pixels_is_damaged(drawn: Callable[..., bytes], kind: str) -> None:
    data = drawn(2, size=(1280, 720), kind=kind)
    end = data.rindex({"JPEG": b"\xff\xd9", "PNG": b"IEND", "WEBP": b""}[kind])
    for cut in (end // 2, end - 40):
        with pytest.raises(ImageError, match="damaged"):
            decode(data[:cut])


def test_a_png_with_too_few_pixel_chunks_is_damaged() -> None:
    row = np.random.default_rng(0).integers(0, 256, 192, dtype=np.uint8).tobytes()
    data = png(row, 64, 64, 8, RGB)
    start = data.index(b"IDAT")
    pixels = data[start + 4 : start + 4 + int.from_bytes(data[start - 4 : start], "big")]
    first, second, end = data[: start - 4] + chunk(b"IDAT", pixels[:200]), chunk(b"IDAT", pixels[200:]), data[-12:]
    assert same(first + second + end, data)
    for rest in (b"", end, second[:20], second[:20] + end):
        with pytest.raises(ImageError, match="damaged"):
            decode(first + rest)


def test_a_file_that_is_too_long_is_refused_without_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "huge.jpg"
    with path.open("wb") as file:
        file.truncate(2**31)
    with pytest.raises(ImageError, match=r"has 2048\.0 MiB; at most 50 MiB"):
        read_file(path)
    with path.open("wb") as file:
        file.truncate(50_000_000)  # YouTube accepts pictures of up to 50 MB.
    assert len(read_file(path)) == 50_000_000 < MAX_BYTES
