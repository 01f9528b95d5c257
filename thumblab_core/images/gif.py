"""Parse GIF files, and decode the first frame. A GIF file is a sequence of blocks.

The decoder receives a new file, which contains the first frame and its colours. These checks are made before decoding:

    blocks             at most 300,000 up to the end of the first frame
    size of canvas     `limits.check_size`; the canvas is enlarged if the frame reaches beyond it, as in browsers
    size of frame      not empty
"""

import io
import struct
from dataclasses import dataclass

from PIL import Image
from PIL.GifImagePlugin import GifImageFile

from thumblab_core.images import limits
from thumblab_core.images.limits import ImageError
from thumblab_core.images.parsed_file import ParsedFile, Raster, averageable, on_canvas

_MOST_BLOCKS = 300_000
"""Maximum number of blocks of at most 255 bytes. A file of 50 MiB whose blocks are all full has 206,000 blocks."""
_EXTENSION, _FRAME, _END = b"!", b",", b";"
_CONTROL = 0xF9
"""Label of the extension that contains the transparent colour of the next frame."""
_PALETTE = 0x80
"""Bit in the flags of the file or of a frame. It says that a palette follows."""


@dataclass
class _Cursor:
    """A position in the file, and the number of blocks that were read so far."""

    at: int
    blocks: int = 0


def parse_gif(data: bytes) -> ParsedFile:
    """Parse a GIF file. Only the first frame of an animation is read.

    Raises `ImageError` if the file exceeds a limit or is damaged.
    """
    if len(data) < 13:
        raise limits.damaged("the file ends within its header")
    canvas_width, canvas_height, flags = struct.unpack_from("<HHB", data, 6)
    cursor = _Cursor(13 + _palette_length(flags))
    palette = data[13 : cursor.at]
    control = _to_frame(data, cursor)
    start = cursor.at
    if len(data) < start + 10:
        raise limits.damaged("the file contains no complete picture")
    left, top, width, height, frame_flags = struct.unpack_from("<HHHHB", data, start + 1)
    canvas = (max(canvas_width, left + width), max(canvas_height, top + height))
    limits.check_size(*canvas)
    if not width or not height:
        raise limits.damaged("its first frame is empty")
    cursor.at = start + 10 + _palette_length(frame_flags) + 1
    _skip(data, cursor)
    end = cursor.at
    head = data[:6] + struct.pack("<HHB", width, height, flags) + b"\0\0" + palette + control
    frame = _FRAME + struct.pack("<HHHHB", 0, 0, width, height, frame_flags)
    image = GifImageFile(io.BytesIO(b"".join([head, frame, memoryview(data)[start + 10 : end], _END])))

    def load(_: int) -> Raster:
        image.load()
        return on_canvas(Raster(image.size, lambda first, last: _rows(image, first, last)), (left, top), canvas)

    return ParsedFile(canvas, None, None, load, animated=_has_frame(data, cursor))


def _rows(image: Image.Image, first: int, last: int) -> Image.Image:
    strip = image.crop((0, first, image.width, last))
    return strip.convert("RGBA") if "transparency" in strip.info else averageable(strip)


def _palette_length(flags: int) -> int:
    """Return the number of bytes of the palette that follows the flags."""
    return 3 << (flags & 7) + 1 if flags & _PALETTE else 0


def _to_frame(data: bytes, cursor: _Cursor) -> bytes:
    """Move the cursor to the next frame. Return the control extension before this frame. Without such an extension,
    return no bytes.

    Raises `ImageError` if there is no further frame.
    """
    control = b""
    while (kind := data[cursor.at : cursor.at + 1]) == _EXTENSION:
        start, label = cursor.at, data[cursor.at + 1 : cursor.at + 2]
        cursor.at += 2
        _skip(data, cursor)
        if label == bytes([_CONTROL]) and cursor.at - start == 8:
            control = data[start : cursor.at]
    if kind != _FRAME:
        raise limits.damaged("the file contains no complete picture")
    return control


def _skip(data: bytes, cursor: _Cursor) -> None:
    """Move the cursor behind a chain of blocks. Each block begins with its length, and a block of no bytes ends the
    chain.
    """
    while cursor.at < len(data):
        length = data[cursor.at]
        cursor.at += 1 + length
        cursor.blocks += 1
        if not length:
            return
        if cursor.blocks > _MOST_BLOCKS:
            raise ImageError(
                f"the GIF has more than {_MOST_BLOCKS:,} blocks; open the picture in an image editor and save it as a "
                "new file"
            )


def _has_frame(data: bytes, cursor: _Cursor) -> bool:
    """Return whether another frame follows. Blocks after a damaged or very long part are not read."""
    try:
        _to_frame(data, cursor)
    except ImageError:
        return False
    return True
