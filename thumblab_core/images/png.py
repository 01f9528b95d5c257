"""Parse PNG files. Only the chunks on which the pixels depend are passed to the decoder.

A PNG file is a sequence of chunks. A picture stays readable if the damaged chunks have no effect on its pixels. These
checks are made before decoding:

    chunks                at most 100,000 (`limits.check_parts`)
    size                  `limits.check_size`
    transparency,         used only if the chunk is whole and its checksum is right; only the first of each kind is used;
    colours, EXIF         transparency and colours are used only if they come before the pixels
    ICC profile           at most 4 MiB are decompressed (`MAX_PROFILE`); a longer or broken profile is ignored
    text                  never decompressed
"""

import io
import zlib

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from thumblab_core.images import limits
from thumblab_core.images.parsed_file import ParsedFile, Raster, averageable
from thumblab_core.images.profiles import MAX_PROFILE
from thumblab_core.images.rgb_profile import cicp_profile, gamma_profile

_Mask = npt.NDArray[np.bool_]
_CRITICAL = {b"IHDR", b"PLTE", b"IDAT"}
"""Chunks that are passed to the decoder as they are."""
_NOTES = {b"tRNS", b"iCCP", b"cICP", b"sRGB", b"gAMA", b"cHRM", b"eXIf", b"acTL"}
"""Chunks that this module reads itself. They contain transparency, colours, EXIF data and the number of frames."""
_END = b"\0\0\0\0IEND\xaeB`\x82"
_GREY, _RGB, _PALETTE = 0, 2, 3
"""Values of the colour type in the header: grey, RGB, and colours from a palette, all without alpha."""


def parse_png(data: bytes) -> ParsedFile:
    """Parse a PNG file. Only the default image of an animation is read.

    Raises `ImageError` if the file exceeds a limit or is damaged.
    """
    kept, notes = _chunks(data)
    depth, colour_type = data[24], data[25]
    transparent_colour = notes.get(b"tRNS", b"")
    file = b"".join(kept)
    image = PngImageFile(io.BytesIO(file))
    limits.check_size(*image.size)
    low = _low_bytes(file) if transparent_colour and colour_type == _RGB and depth == 16 else None

    def rows(top: int, bottom: int) -> Image.Image:
        box = (0, top, image.width, bottom)
        strip = image.crop(box)
        clear = None
        if transparent_colour and colour_type in (_GREY, _RGB):
            clear = _clear(strip, None if low is None else low.crop(box), transparent_colour, depth)
        strip = averageable(strip)
        if clear is not None:
            strip.putalpha(Image.fromarray(np.where(clear, 0, 255).astype(np.uint8)))
        return strip

    def load(_: int) -> Raster:
        image.load()
        if low is not None:
            low.load()
        return Raster(image.size, rows)

    animated = int.from_bytes(notes.get(b"acTL", b"")[:4], "big") > 1
    return ParsedFile(image.size, _profile(notes), notes.get(b"eXIf"), load, animated=animated)


def _chunks(data: bytes) -> tuple[list[bytes | memoryview], dict[bytes, bytes]]:
    """Return the bytes for the decoder, and the contents of the first valid chunk of each kind in `_NOTES`."""
    view = memoryview(data)
    kept: list[bytes | memoryview] = [view[:8]]
    notes: dict[bytes, bytes] = {}
    at = 8
    parts = 0
    pixels = False
    while at + 8 <= len(data):
        parts += 1
        limits.check_parts(parts)
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        end = at + 12 + length
        # Reading stops at the end chunk (IEND). Reading also stops at a chunk that is cut off by the end of the file. A
        # chunk that the decoder needs is kept even if it is cut off.
        if kind == b"IEND" or (end > len(data) and kind not in _CRITICAL):
            kept.append(_END)
            break
        if kind in _CRITICAL:
            if kind == b"IDAT" and not pixels:
                pixels = True
                if data[25:26] == bytes([_PALETTE]) and b"tRNS" in notes:
                    kept.append(_chunk(b"tRNS", notes[b"tRNS"]))
            kept.append(view[at:end])
        elif (kind in _NOTES and not pixels) or kind == b"eXIf":
            body = data[at + 8 : end - 4]
            if end <= len(data) and zlib.crc32(body, zlib.crc32(kind)) == int.from_bytes(data[end - 4 : end], "big"):
                notes.setdefault(kind, body)
        at = end
    return kept, notes


def _chunk(kind: bytes, body: bytes) -> bytes:
    """Return a PNG chunk as bytes: first the length of `body`, then `kind`, `body` and the checksum."""
    return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(body, zlib.crc32(kind)).to_bytes(4, "big")


def _low_bytes(file: bytes) -> PngImageFile:
    """Return a 16-bit RGB picture from which Pillow decodes only the lower 8 bits of each value.

    By default, Pillow decodes only the upper 8 bits.
    """
    image = PngImageFile(io.BytesIO(file))
    image.tile = [tile._replace(args="RGB;16L") for tile in image.tile]
    return image


def _clear(strip: Image.Image, low: Image.Image | None, transparent_colour: bytes, depth: int) -> _Mask | None:
    """Return which pixels of a grey or RGB picture are transparent, bool [h, w].

    Return None if the tRNS chunk has the wrong length. `transparent_colour` is the content of the tRNS chunk. It is one
    colour, with two bytes per channel. `low` contains the lower 8 bits of a 16-bit RGB picture.
    """
    channels = strip.split()
    wanted = [int.from_bytes(transparent_colour[at : at + 2], "big") for at in range(0, len(transparent_colour), 2)]
    if len(wanted) != len(channels):
        return None
    if strip.mode == "L":  # Pillow has scaled values of 1, 2 or 4 bits to 8 bits, so `wanted` is scaled too.
        wanted = [wanted[0] * 255 // (2**depth - 1)]
    clear = np.ones((strip.height, strip.width), bool)
    for at, channel in enumerate(channels):
        clear &= np.asarray(channel) == (wanted[at] if low is None else wanted[at] >> 8)
        if low is not None:
            clear &= np.asarray(low.getchannel(at)) == wanted[at] & 255
    return clear


def _profile(notes: dict[bytes, bytes]) -> bytes | None:
    """Return the ICC profile, or None for sRGB.

    The chunks are tried in the order of the PNG specification: cICP, iCCP, sRGB, then gAMA with cHRM.
    """
    if (profile := cicp_profile(notes.get(b"cICP", b""))) is not None:
        return profile
    if (profile := _inflated(notes.get(b"iCCP", b""))) is not None:
        return profile
    if b"sRGB" in notes:
        return None
    return gamma_profile(notes.get(b"gAMA", b""), notes.get(b"cHRM", b""))


def _inflated(note: bytes) -> bytes | None:
    """Return the profile in an iCCP chunk, or None if the profile is broken or longer than `MAX_PROFILE`.

    The chunk contains a name, a method and a zlib stream. At most `MAX_PROFILE + 1` bytes are decompressed.
    """
    _, _, packed = note.partition(b"\0")
    inflate = zlib.decompressobj()
    try:
        profile = inflate.decompress(packed[1:], MAX_PROFILE + 1)
    except zlib.error:
        return None
    return profile if inflate.eof and len(profile) <= MAX_PROFILE else None
