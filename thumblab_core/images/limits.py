"""Limits on picture files, all checked before a pixel is decoded.

A file outside these limits is refused with an `ImageError`:

    format             JPEG, PNG, WebP, AVIF, HEIC, GIF or BMP, recognised by the first bytes
    bytes              at most 50 MiB
    pixels             at most 40 million; in an AVIF file at most 16 million, in a HEIC file at most 25 million
    sides              at least 32 pixels; the longer side at most 10 times the shorter one
    scans of a JPEG    at most 32, and at most 800 million pixels in all scans together
    parts of a file    at most 100,000 chunks (PNG, WebP) or segments (JPEG)
"""

import math
from pathlib import Path

from thumblab_core.errors import LabError

MAX_BYTES = 50 * 2**20
"""Maximum size of a file in bytes. YouTube accepts 50 MB, which may mean 50 MiB (the larger size)."""
MAX_PIXELS = 40_000_000
MIN_SIDE = 32
MAX_RATIO = 10
"""The largest allowed ratio of the longer side to the shorter side."""
FORMATS = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "AVIF": "image/avif",
    "HEIC": "image/heic",
    "GIF": "image/gif",
    "BMP": "image/bmp",
}
"""The media type of each format."""
FORMAT_NAMES = "JPEG, PNG, WebP, AVIF, HEIC, GIF or BMP"
"""The names of the formats in messages and documentation."""
SUFFIXES = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".png": "PNG",
    ".webp": "WEBP",
    ".avif": "AVIF",
    ".heic": "HEIC",
    ".heif": "HEIC",
    ".gif": "GIF",
    ".bmp": "BMP",
}
"""The format that each suffix of a file stands for. In a folder, only files with these suffixes are read as pictures.
"""
DECODED_APART = frozenset(("AVIF", "HEIC"))
"""The formats that are decoded in a process of their own, one file at a time (`heif`)."""

MAX_SCANS = 32
"""Maximum number of scans of a JPEG. Encoders write up to 14 for a progressive JPEG, and up to 18 for a progressive
JPEG in CMYK.
"""
_MAX_SCANNED = 20 * MAX_PIXELS
"""Maximum of the product of a JPEG's pixels and the number of its scans.

Each scan of a progressive JPEG takes time for every pixel, even a scan of few bytes.
"""
_MAX_PARTS = 100_000
"""Maximum number of chunks in a PNG or WebP, or of segments in a JPEG. Even a short chunk takes time to parse."""

_SIGNATURES = {"JPEG": b"\xff\xd8\xff", "PNG": b"\x89PNG\r\n\x1a\n", "GIF": b"GIF8", "BMP": b"BM"}
_HEIF_BRANDS = {
    "AVIF": (b"avif", b"avis"),
    "HEIC": (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"),
}
"""The brands of the two kinds of HEIF file. `mif1` and `msf1` say only that the file is a HEIF; most files with these
brands are HEIC.
"""
_OTHER_SIGNATURES = (
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
    (4, b"ftyp", "a video"),
)
"""Offset, signature and name of formats that are refused. The error about a refused file says which format the file
has.
"""


class ImageError(LabError):
    """An error for bytes that the lab cannot read as a picture. The message gives the reason."""


def damaged(reason: object) -> ImageError:
    """Return the error for a damaged file, with at most 120 characters of the reason."""
    return ImageError(f"the picture is damaged ({str(reason)[:120]})")


def format_of(data: bytes) -> str:
    """Return which of `FORMATS` a file has. At most its first 1,024 bytes are read.

    Raises `ImageError` if the file is empty or has another format. The message says which format the file has, if the
    format is SVG or one of `_OTHER_SIGNATURES`.
    """
    if not data:
        raise ImageError("the file is empty")
    for name, start in _SIGNATURES.items():
        if data.startswith(start):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    brands = _heif_brands(data[:1024])
    for name, known in _HEIF_BRANDS.items():
        if any(brand in known for brand in brands):
            return name
    head = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith((b"<svg", b"<?xml", b"<!doctype svg")) and b"<svg" in head:
        what = "an SVG"
    else:
        what = next((what for at, start, what in _OTHER_SIGNATURES if data[at : at + len(start)] == start), "")
    if what:
        raise ImageError(f"{what} file, not a {FORMAT_NAMES} picture; save the picture in one of these formats")
    raise ImageError(f"not a {FORMAT_NAMES} picture")


def _heif_brands(head: bytes) -> list[bytes]:
    """Return the brands in the box `ftyp` at the start of a file. A brand is a code of four letters for a file format.
    The result is empty for a file that does not begin with this box.

    AVIF and HEIC may have the same main brand, so the list of compatible brands is read too.
    """
    if head[4:8] != b"ftyp":
        return []
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return [head[at : at + 4] for at in (8, *range(16, end - 3, 4))]


def check_length(size: int) -> None:
    """Raise `ImageError` if a file of `size` bytes is too long."""
    if size > MAX_BYTES:
        raise ImageError(too_long(size))


def too_long(size: int) -> str:
    """Return the error sentence for a file that is too long. `size` is its length in bytes."""
    # The size is rounded up, so that a size above the limit is never shown as equal to the limit.
    mib = math.ceil(size / 2**20 * 10) / 10
    return f"the file has {mib:.1f} MiB; at most {MAX_BYTES // 2**20} MiB are read"


def read_file(path: Path) -> bytes:
    """Return the bytes of a picture file.

    Raises `OSError` if the file cannot be read, and `ImageError` if it is too long.

    Never reads more than `MAX_BYTES + 1` bytes.
    """
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
        check_length(max(len(data), path.stat().st_size))
    return data


def check_parts(count: int) -> None:
    """Raise `ImageError` if a file has too many chunks or segments."""
    if count > _MAX_PARTS:
        raise ImageError(
            f"the file has more than {_MAX_PARTS:,} chunks or segments; open the picture in an image editor and save "
            "it as a new file"
        )


def check_size(width: int, height: int) -> None:
    """Raise `ImageError` if a picture has too many pixels, or is too small or too narrow."""
    if width * height > MAX_PIXELS:
        raise ImageError(f"the picture has {width}x{height} pixels; at most {MAX_PIXELS / 1e6:.0f} million are decoded")
    if min(width, height) < MIN_SIDE:
        raise ImageError(f"the picture has {width}x{height} pixels; each side needs at least {MIN_SIDE} pixels")
    # A picture that is narrow and high would become very high when it is resized to a fixed width.
    if max(width, height) > MAX_RATIO * min(width, height):
        raise ImageError(
            f"the picture has {width}x{height} pixels; one side may be at most {MAX_RATIO} times the other"
        )


def check_scans(scans: int, width: int, height: int) -> None:
    """Raise `ImageError` if a JPEG of this size has too many scans."""
    if scans > MAX_SCANS or scans * width * height > _MAX_SCANNED:
        most = min(MAX_SCANS, _MAX_SCANNED // (width * height))
        raise ImageError(
            f"the JPEG has {scans} scans of {width}x{height} pixels; at most {most} of this size are decoded, so "
            "open the JPEG in an image editor and save it as a new file"
        )
