"""PNG: a row of chunks. Only those that the pixels depend on reach the decoder, whatever the others hold."""

import io
import zlib

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from thumblab_core.images import limits
from thumblab_core.images.opened import Opened, Raster
from thumblab_core.images.profiles import MAX_PROFILE
from thumblab_core.images.rgb_profile import cicp_profile, gamma_profile

_Mask = npt.NDArray[np.bool_]
_CRITICAL = {b"IHDR", b"PLTE", b"IDAT"}
_NOTES = {b"tRNS", b"iCCP", b"cICP", b"sRGB", b"gAMA", b"cHRM", b"eXIf"}
_END = b"\0\0\0\0IEND\xaeB`\x82"
_GREY, _RGB, _PALETTE = 0, 2, 3


def open_png(data: bytes) -> Opened:
    """Take a PNG file apart; of an animation the picture that stands for it is read. Raises `ImageError`."""
    kept, notes = _chunks(data)
    depth, colours = data[24], data[25]
    key = notes.get(b"tRNS", b"")
    file = b"".join(kept)
    image = PngImageFile(io.BytesIO(file))
    limits.check_size(*image.size)
    low = _low_bytes(file) if key and colours == _RGB and depth == 16 else None

    def rows(top: int, bottom: int) -> Image.Image:
        box = (0, top, image.width, bottom)
        strip = image.crop(box)
        clear = None
        if key and colours in (_GREY, _RGB):
            clear = _clear(strip, None if low is None else low.crop(box), key, depth)
        strip = _plain(strip)
        if clear is not None:
            strip.putalpha(Image.fromarray(np.where(clear, 0, 255).astype(np.uint8)))
        return strip

    def load(_: int) -> tuple[Raster, int]:
        image.load()
        if low is not None:
            low.load()
        return Raster(image.size, rows), 1

    return Opened(image.size, _profile(notes), notes.get(b"eXIf"), load)


def _chunks(data: bytes) -> tuple[list[bytes | memoryview], dict[bytes, bytes]]:
    """The parts to decode, and the first note of each kind that comes before the pixels and is whole."""
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
        if kind == b"IEND" or (end > len(data) and kind not in _CRITICAL):  # what is cut off is no pixel
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
    return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(body, zlib.crc32(kind)).to_bytes(4, "big")


def _low_bytes(file: bytes) -> PngImageFile:
    """A picture of 16 bits a channel whose lower 8 are decoded: Pillow keeps the upper ones only."""
    image = PngImageFile(io.BytesIO(file))
    image.tile = [tile._replace(args="RGB;16L") for tile in image.tile]
    return image


def _clear(strip: Image.Image, low: Image.Image | None, key: bytes, depth: int) -> _Mask | None:
    """Where a picture without alpha has the one colour that is transparent; None where the note of it is broken."""
    channels = strip.split()
    wanted = [int.from_bytes(key[at : at + 2], "big") for at in range(0, len(key), 2)]
    if len(wanted) != len(channels):
        return None
    if strip.mode == "L":  # Pillow spreads 2 and 4 bits over 8
        wanted = [wanted[0] * 255 // (2**depth - 1)]
    clear = np.ones((strip.height, strip.width), bool)
    for at, channel in enumerate(channels):
        clear &= np.asarray(channel) == (wanted[at] if low is None else wanted[at] >> 8)
        if low is not None:
            clear &= np.asarray(low.getchannel(at)) == wanted[at] & 255
    return clear


def _plain(strip: Image.Image) -> Image.Image:
    """In a mode whose values can be averaged: L, LA, RGB or RGBA."""
    if strip.mode.startswith("I"):  # Pillow would clip its 65,536 levels to 255
        return Image.fromarray((np.asarray(strip) >> 8).astype(np.uint8))
    if strip.mode == "P":
        return strip.convert("RGBA" if "transparency" in strip.info else "RGB")
    return strip.convert("L") if strip.mode == "1" else strip


def _profile(notes: dict[bytes, bytes]) -> bytes | None:
    """The ICC profile of the colours, by the specification's order: cICP, iCCP, sRGB, then gAMA and cHRM."""
    if (found := cicp_profile(notes.get(b"cICP", b""))) is not None:
        return found
    if (found := _inflated(notes.get(b"iCCP", b""))) is not None:
        return found
    if b"sRGB" in notes:
        return None
    return gamma_profile(notes.get(b"gAMA", b""), notes.get(b"cHRM", b""))


def _inflated(note: bytes) -> bytes | None:
    """The profile of an iCCP chunk: a name, a method and a zlib stream, of which no more is inflated than is read."""
    _, _, packed = note.partition(b"\0")
    inflate = zlib.decompressobj()
    try:
        profile = inflate.decompress(packed[1:], MAX_PROFILE + 1)
    except zlib.error:
        return None
    return profile if inflate.eof and len(profile) <= MAX_PROFILE else None
