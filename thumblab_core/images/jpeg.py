"""Parse JPEG files. Only the segments on which the pixels depend are passed to the decoder.

A JPEG file is a sequence of segments and scans. A camera or an attacker may add a second picture (MPO), comments,
previews or broken EXIF data. Damage in such parts must not make the picture unreadable, so these parts are not passed
to the decoder. This module counts the scans, and the decoder receives exactly the scans that were counted. These checks
are made before decoding:

    segments        at most 100,000 (`limits.check_parts`), each within the file
    size            `limits.check_size`
    scans           `limits.check_scans`: at most 32, and 800 million pixels in all scans together
    start marker    a file with a second start marker inside the picture is refused
    ICC profile     read only if its segments are complete, numbered without gaps, and at most 4 MiB together
    EXIF            only the first EXIF segment before the scans is read; see `orientation`
"""

import io
import re

from PIL.JpegImagePlugin import JpegImageFile

from thumblab_core.images import limits
from thumblab_core.images.parsed_file import ParsedFile, Raster
from thumblab_core.images.profiles import MAX_PROFILE

# The pattern matches a marker that ends a scan or begins a segment. It does not match stuffed bytes (FF 00), fill bytes
# (FF FF) or markers without a segment.
_MARKER = re.compile(rb"\xff[^\x00\x01\xff\xd0-\xd7]")
_SOI, _EOI, _SOS, _COM = 0xD8, 0xD9, 0xDA, 0xFE
_APPS = range(0xE0, 0xF0)
_COLOUR_SEGMENTS = {0xE0: b"JFIF", 0xEE: b"Adobe"}
"""Segments by which the decoder decides whether the colours are YCbCr, RGB or CMYK."""
_DECODER_FACTORS = (8, 4, 2, 1)
"""The factors by which libjpeg reduces a picture while it decodes the picture."""
_ICC = b"ICC_PROFILE\0"
_EXIF = b"Exif\0"


def parse_jpeg(data: bytes) -> ParsedFile:
    """Parse a JPEG file. Raises `ImageError` if it exceeds a limit or its segments are damaged."""
    kept, notes, scans = _segments(data)
    image = JpegImageFile(io.BytesIO(b"".join(kept)))
    limits.check_size(*image.size)
    limits.check_scans(scans, *image.size)

    def load(factor: int) -> Raster:
        if factor > 1:
            image.draft(None, (image.width // factor, image.height // factor))
        image.load()
        return Raster(image.size, lambda top, bottom: image.crop((0, top, image.width, bottom)))

    exif = next((note for note in notes if note.startswith(_EXIF)), None)
    return ParsedFile(image.size, _profile(notes), exif, load, _DECODER_FACTORS)


def _segments(data: bytes) -> tuple[list[bytes | memoryview], list[bytes], int]:
    """Return the bytes for the decoder, the EXIF and ICC segments before the first scan, and the number of scans."""
    view = memoryview(data)
    kept: list[bytes | memoryview] = [b"\xff\xd8"]
    notes: list[bytes] = []
    scans = parts = 0
    at = 2
    while marker := _MARKER.search(data, at):
        parts += 1
        limits.check_parts(parts)
        start, kind = marker.start(), data[marker.start() + 1]
        if kind == _EOI:
            kept.append(b"\xff\xd9")
            break
        if kind == _SOI:
            raise limits.damaged("a second picture begins before the first one ends")
        at = start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")
        if at < start + 4 or at > len(data):
            raise limits.damaged("a segment reaches beyond the end of the file")
        if kind in _APPS or kind == _COM:
            colour_prefix = _COLOUR_SEGMENTS.get(kind)
            if colour_prefix is not None and data.startswith(colour_prefix, start + 4):
                kept.append(view[start:at])
            elif not scans and data.startswith((_ICC, _EXIF), start + 4):
                notes.append(data[start + 4 : at])
            continue
        if kind == _SOS:
            scans += 1
            scan_end = _MARKER.search(data, at)
            at = scan_end.start() if scan_end else len(data)
        kept.append(view[start:at])
    return kept, notes, scans


def _profile(notes: list[bytes]) -> bytes | None:
    """Return the ICC profile, or None if it is incomplete or longer than `MAX_PROFILE`.

    A profile may be divided among several segments. Each of these segments states its number (1 for the first) and
    how many segments there are.
    """
    pieces = {note[len(_ICC)]: note for note in notes if note.startswith(_ICC) and len(note) > len(_ICC) + 2}
    if not pieces or any(note[len(_ICC) + 1] != len(pieces) for note in pieces.values()):
        return None
    if sorted(pieces) != list(range(1, len(pieces) + 1)) or sum(map(len, pieces.values())) > MAX_PROFILE:
        return None
    return b"".join(pieces[number][len(_ICC) + 2 :] for number in sorted(pieces))
