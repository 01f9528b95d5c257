"""Parse BMP files. These checks are made before decoding:

header         one of the sizes that Windows and OS/2 have used
size           `limits.check_size`
compression    none, or bit fields; a picture with another compression is refused
palette        at most 256 colours
ICC profile    at most 4 MiB (`MAX_PROFILE`); a longer profile is ignored
"""

import io
import struct

from PIL.BmpImagePlugin import BmpImageFile

from thumblab_core.images import limits
from thumblab_core.images.limits import ImageError
from thumblab_core.images.parsed_file import ParsedFile, Raster, averageable
from thumblab_core.images.profiles import MAX_PROFILE

_FILE_HEADER = 14
"""Number of bytes before the header of the picture."""
_OLDEST_HEADER, _NEWEST_HEADER = 12, 124
_HEADERS = (_OLDEST_HEADER, 40, 52, 56, 64, 108, _NEWEST_HEADER)
_RAW, _BIT_FIELDS = 0, 3
_EMBEDDED_PROFILE = b"DEBM"
_MOST_COLOURS = 256


def parse_bmp(data: bytes) -> ParsedFile:
    """Parse a BMP file. Raises `ImageError` if it exceeds a limit or is damaged."""
    header = int.from_bytes(data[_FILE_HEADER : _FILE_HEADER + 4], "little")
    if header not in _HEADERS or len(data) < _FILE_HEADER + header:
        raise limits.damaged("its header is not a BMP header")
    if header == _OLDEST_HEADER:
        width, height = struct.unpack_from("<HH", data, _FILE_HEADER + 4)
        compression = colours = 0
    else:
        width, height = struct.unpack_from("<ii", data, _FILE_HEADER + 4)
        compression, colours = (struct.unpack_from("<I", data, _FILE_HEADER + at)[0] for at in (16, 32))
    limits.check_size(width, abs(height))
    if compression not in (_RAW, _BIT_FIELDS):
        raise ImageError("the lab does not read compressed BMP files; save the picture as PNG")
    if colours > _MOST_COLOURS:
        raise limits.damaged(f"its palette has {colours} colours")
    image = BmpImageFile(io.BytesIO(data))
    limits.check_size(*image.size)

    def load(_: int) -> Raster:
        image.load()
        return Raster(image.size, lambda top, bottom: averageable(image.crop((0, top, image.width, bottom))))

    return ParsedFile(image.size, _profile(data, header), None, load)


def _profile(data: bytes, header: int) -> bytes | None:
    """Return the embedded ICC profile. Return None if it is missing, incomplete or too long."""
    if header != _NEWEST_HEADER or data[_FILE_HEADER + 56 : _FILE_HEADER + 60] != _EMBEDDED_PROFILE:
        return None
    start, length = struct.unpack_from("<II", data, _FILE_HEADER + 112)
    profile = data[_FILE_HEADER + start : _FILE_HEADER + start + length] if length <= MAX_PROFILE else b""
    return profile if profile and len(profile) == length else None
