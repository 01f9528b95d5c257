"""JPEG: a row of segments, then scans. Only the segments that the pixels depend on reach the decoder.

So nothing that a camera or an attacker adds decides whether a picture is read: a second picture (MPO), notes, previews,
broken EXIF. The decoder is given what was counted here, so it finds no scan that was not.
"""

import io
import re

from PIL.JpegImagePlugin import JpegImageFile

from thumblab_core.images import limits
from thumblab_core.images.opened import Opened, Raster
from thumblab_core.images.profiles import MAX_PROFILE

# A marker that ends a scan, or begins a segment: neither a stuffed byte, nor a fill byte, nor one that stands alone.
_MARKER = re.compile(rb"\xff[^\x00\x01\xff\xd0-\xd7]")
_SOI, _EOI, _SOS, _COM = 0xD8, 0xD9, 0xDA, 0xFE
_APPS = range(0xE0, 0xF0)
_DECIDE_COLOURS = {0xE0: b"JFIF", 0xEE: b"Adobe"}
"""By these two the decoder knows YCbCr from RGB and CMYK."""
_ICC = b"ICC_PROFILE\0"
_EXIF = b"Exif\0"


def open_jpeg(data: bytes) -> Opened:
    """Take a JPEG file apart. Raises `ImageError` where it has more scans or segments than are decoded."""
    kept, notes, scans = _segments(data)
    image = JpegImageFile(io.BytesIO(b"".join(kept)))
    limits.check_size(*image.size)
    limits.check_scans(scans, *image.size)

    def load(scale: int) -> tuple[Raster, int]:
        scale = next(power for power in (8, 4, 2, 1) if power <= scale)
        if scale > 1:
            image.draft(None, (image.width // scale, image.height // scale))
        image.load()
        return Raster(image.size, lambda top, bottom: image.crop((0, top, image.width, bottom))), scale

    exif = next((note for note in notes if note.startswith(_EXIF)), None)
    return Opened(image.size, _profile(notes), exif, load)


def _segments(data: bytes) -> tuple[list[bytes | memoryview], list[bytes], int]:
    """The parts to decode, the notes before the first scan (EXIF, profiles, ...), and the number of scans."""
    view = memoryview(data)
    kept: list[bytes | memoryview] = [b"\xff\xd8"]
    notes: list[bytes] = []
    scans = parts = 0
    at = 2
    while found := _MARKER.search(data, at):
        parts += 1
        limits.check_parts(parts)
        start, kind = found.start(), data[found.start() + 1]
        if kind == _EOI:
            kept.append(b"\xff\xd9")
            break
        if kind == _SOI:
            raise limits.damaged("a picture begins inside the picture")
        at = start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")
        if at < start + 4 or at > len(data):
            raise limits.damaged("a segment ends after the file")
        if kind in _APPS or kind == _COM:
            decides = _DECIDE_COLOURS.get(kind)
            if decides is not None and data.startswith(decides, start + 4):
                kept.append(view[start:at])
            elif not scans and data.startswith((_ICC, _EXIF), start + 4):
                notes.append(data[start + 4 : at])
            continue
        if kind == _SOS:
            scans += 1
            ending = _MARKER.search(data, at)
            at = ending.start() if ending else len(data)
        kept.append(view[start:at])
    return kept, notes, scans


def _profile(notes: list[bytes]) -> bytes | None:
    """The ICC profile, which has a number and a count in each of its segments; None unless all of them are there."""
    pieces = {note[len(_ICC)]: note for note in notes if note.startswith(_ICC) and len(note) > len(_ICC) + 2}
    if not pieces or any(note[len(_ICC) + 1] != len(pieces) for note in pieces.values()):
        return None
    if sorted(pieces) != list(range(1, len(pieces) + 1)) or sum(map(len, pieces.values())) > MAX_PROFILE:
        return None
    return b"".join(pieces[number][len(_ICC) + 2 :] for number in sorted(pieces))
