"""What is read and what is refused, before a pixel is decoded: formats, bytes, pixels, and the parts of a file."""

import math
from pathlib import Path

from thumblab_core.errors import LabError

MAX_BYTES = 50 * 2**20
"""YouTube takes thumbnails of 50 MB; of the two meanings of that this is the larger, 52,428,800 bytes."""
MAX_PIXELS = 40_000_000
MIN_SIDE = 32
MAX_RATIO = 10
FORMATS = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}

MAX_SCANS = 32
"""Encoders write up to 14 scans of a progressive JPEG, and 18 of one in CMYK."""
_MAX_SCANNED = 20 * MAX_PIXELS
"""Pixels times scans: each scan of a progressive JPEG goes over the whole picture, however few bytes it has."""
_MAX_PARTS = 100_000
"""Chunks of a PNG or WebP, segments of a JPEG: each costs time, however short it is."""

_OURS = {"JPEG": b"\xff\xd8\xff", "PNG": b"\x89PNG\r\n\x1a\n"}
_OTHERS = (
    (0, b"GIF8", "a GIF"),
    (0, b"BM", "a BMP"),
    (0, b"II*\0", "a TIFF"),
    (0, b"MM\0*", "a TIFF"),
    (0, b"II+\0", "a TIFF"),
    (0, b"MM\0+", "a TIFF"),
    (0, b"\0\0\1\0", "an ICO"),
    (0, b"8BPS", "a Photoshop"),
    (0, b"%PDF", "a PDF"),
    (0, b"\xff\x0a", "a JPEG XL"),
    (0, b"\0\0\0\x0cJXL ", "a JPEG XL"),
    (0, b"\0\0\0\x0cjP  ", "a JPEG 2000"),
    (4, b"ftypavif", "an AVIF"),
    (4, b"ftypavis", "an AVIF"),
    (4, b"ftyphe", "a HEIC"),
    (4, b"ftypmif1", "a HEIC"),
    (4, b"ftypmsf1", "a HEIC"),
    (4, b"ftyp", "a video"),
)


class ImageError(LabError):
    """The bytes are no picture that the lab can read; the message says why."""


def damaged(why: object) -> ImageError:
    return ImageError(f"the picture is damaged ({str(why)[:120]})")


def format_of(data: bytes) -> str:
    """One of `FORMATS`, by the first bytes and never by a name. Raises `ImageError`, which says what it is instead."""
    if not data:
        raise ImageError("the file is empty")
    for name, start in _OURS.items():
        if data.startswith(start):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    head = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith((b"<svg", b"<?xml", b"<!doctype svg")) and b"<svg" in head:
        what = "an SVG"
    else:
        what = next((what for at, start, what in _OTHERS if data[at : at + len(start)] == start), "")
    if what:
        raise ImageError(f"{what} file, not a JPEG, PNG or WebP picture; save it as one of these")
    raise ImageError("not a JPEG, PNG or WebP picture")


def check_length(size: int) -> None:
    if size > MAX_BYTES:
        raise ImageError(too_long(size))


def too_long(size: int) -> str:
    """Why a file of `size` bytes is not read."""
    mib = math.ceil(size / 2**20 * 10) / 10  # rounded up: what is over the limit never looks like the limit
    return f"the file has {mib:.1f} MiB; at most {MAX_BYTES // 2**20} MiB are read"


def read_file(path: Path) -> bytes:
    """The bytes of a picture's file. Raises `ImageError` for one that is too long, without reading it, and `OSError`."""
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
        check_length(max(len(data), path.stat().st_size))
    return data


def check_parts(count: int) -> None:
    if count > _MAX_PARTS:
        raise ImageError(f"the file is made of more than {_MAX_PARTS:,} parts; save the picture again")


def check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise ImageError(f"{width}x{height} pixels; at most {MAX_PIXELS / 1e6:.0f} million are decoded")
    if min(width, height) < MIN_SIDE:
        raise ImageError(f"{width}x{height} pixels; both sides need at least {MIN_SIDE}")
    if max(width, height) > MAX_RATIO * min(width, height):  # brought to a fixed width, a strip would be a tower
        raise ImageError(f"{width}x{height} pixels; one side may be at most {MAX_RATIO} times the other")


def check_scans(scans: int, width: int, height: int) -> None:
    if scans > MAX_SCANS or scans * width * height > _MAX_SCANNED:
        most = min(MAX_SCANS, _MAX_SCANNED // (width * height))
        raise ImageError(
            f"{scans} scans of {width}x{height} pixels; at most {most} of this size are decoded: save the JPEG again"
        )
