"""Parse WebP files, and decode the first picture. A WebP file is a RIFF file, which consists of chunks.

OpenCV decodes the picture, because Pillow keeps four copies of it in memory. These checks are made before decoding:

    chunks                 at most 100,000 (`limits.check_parts`); reading stops at an incomplete chunk
    size of the canvas     `limits.check_size`
    place of the frame     inside the canvas
    size of the picture    from the encoded picture itself; the decoder must return exactly this size
    ICC profile            at most 4 MiB (`MAX_PROFILE`); a longer profile is ignored
"""

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from thumblab_core.images import limits
from thumblab_core.images.parsed_file import ParsedFile, Raster, on_canvas
from thumblab_core.images.profiles import MAX_PROFILE

_Chunks = dict[bytes, memoryview]
_NONE = memoryview(b"")
_ALPHA = 0x10
"""Bit in the flags of the file's header. It says that the picture has transparent parts."""


@dataclass(frozen=True)
class _Still:
    """The chunks of one picture, and the place of the picture on its canvas.

    `canvas` is the width and height of the canvas, or None if the canvas has the size of the picture.
    """

    chunks: _Chunks
    left: int
    top: int
    canvas: tuple[int, int] | None


def parse_webp(data: bytes) -> ParsedFile:
    """Parse a WebP file. Only the first frame of an animation is read.

    Raises `ImageError` if the file exceeds a limit or is damaged.
    """
    chunks, frames = _chunks(memoryview(data)[12:])
    still = _still(chunks)
    size = _size(still.chunks)
    canvas = still.canvas or size
    limits.check_size(*canvas)
    if still.left + size[0] > canvas[0] or still.top + size[1] > canvas[1]:
        raise limits.damaged("the picture is larger than its canvas")

    def load(_: int) -> Raster:
        return on_canvas(_raster(_decoded(still.chunks, size)), (still.left, still.top), canvas)

    profile = chunks.get(b"ICCP", _NONE)
    exif = bytes(chunks.get(b"EXIF", _NONE))
    profile_bytes = bytes(profile) if len(profile) <= MAX_PROFILE else None
    return ParsedFile(canvas, profile_bytes, exif, load, animated=frames > 1)


def _chunks(data: memoryview) -> tuple[_Chunks, int]:
    """Return the first chunk of each kind, and the number of frames of an animation.

    Reading stops at the first incomplete chunk.
    """
    chunks: _Chunks = {}
    at = parts = frames = 0
    while at + 8 <= len(data):
        parts += 1
        limits.check_parts(parts)
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        if at + 8 + length > len(data):
            break
        kind = bytes(data[at : at + 4])
        frames += kind == b"ANMF"
        chunks.setdefault(kind, data[at + 8 : at + 8 + length])
        at += 8 + length + length % 2
    return chunks, frames


def _still(chunks: _Chunks) -> _Still:
    """Return the picture of the file. If the file is an animation, return its first frame."""
    header, frame = chunks.get(b"VP8X", _NONE), chunks.get(b"ANMF", _NONE)
    canvas = (_int24(header, 4) + 1, _int24(header, 7) + 1) if len(header) >= 10 else None
    if len(frame) >= 16:
        return _Still(_chunks(frame[16:])[0], 2 * _int24(frame, 0), 2 * _int24(frame, 3), canvas)
    return _Still(chunks, 0, 0, canvas)


def _size(chunks: _Chunks) -> tuple[int, int]:
    """Return the width and height that the encoded picture itself states.

    Raises `ImageError` if there is no picture.
    """
    lossy, lossless = chunks.get(b"VP8 ", _NONE), chunks.get(b"VP8L", _NONE)
    if len(lossy) >= 10 and bytes(lossy[3:6]) == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", lossy, 6)
        return width & 0x3FFF, height & 0x3FFF
    if len(lossless) >= 5 and lossless[0] == 0x2F:
        bits = int.from_bytes(lossless[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    raise limits.damaged("the file contains no complete picture")


def _decoded(chunks: _Chunks, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Decode the picture in `chunks` to uint8 [height, width, 3 or 4], in the order BGR or BGRA.

    The decoder receives a new file, which contains only this picture.
    """
    import cv2

    written: list[tuple[bytes, bytes | memoryview]] = []
    if b"VP8 " in chunks and b"ALPH" in chunks:
        sides = b"".join((side - 1).to_bytes(3, "little") for side in size)
        written += [(b"VP8X", bytes([_ALPHA, 0, 0, 0]) + sides), (b"ALPH", chunks[b"ALPH"])]
    kind = b"VP8 " if b"VP8 " in chunks else b"VP8L"
    written.append((kind, chunks[kind]))
    parts: list[bytes | memoryview] = []
    for name, chunk in written:
        parts += [name + len(chunk).to_bytes(4, "little"), chunk, b"\0" * (len(chunk) % 2)]
    length = 4 + sum(len(part) for part in parts)
    file = b"".join([b"RIFF", length.to_bytes(4, "little"), b"WEBP", *parts])
    pixels: npt.NDArray[np.uint8] | None = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.shape[1::-1] != size:
        raise limits.damaged("the encoded pixels cannot be read")
    return pixels


def _raster(pixels: npt.NDArray[np.uint8]) -> Raster:
    """Return the raster of a picture, uint8 [height, width, 3 or 4] in the order BGR or BGRA."""
    import cv2

    height, width = pixels.shape[:2]
    order = cv2.COLOR_BGRA2RGBA if pixels.shape[2] == 4 else cv2.COLOR_BGR2RGB

    def rows(top: int, bottom: int) -> Image.Image:
        return Image.fromarray(cv2.cvtColor(pixels[top:bottom], order))

    return Raster((width, height), rows)


def _int24(data: memoryview, at: int) -> int:
    return int.from_bytes(data[at : at + 3], "little")
