"""Read the pictures that an assistant names. A file that is not a picture is never sent to the service."""

from collections.abc import Sequence
from pathlib import Path

from thumblab_client.errors import PictureError
from thumblab_client.pictures import Picture, id_of, pictures_of

_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a")
"""The first bytes of a JPEG, a PNG and a GIF."""

_BRANDS = frozenset((b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"))
_BRANDS |= {b"mif1", b"msf1"}
"""The brands of AVIF and HEIC that the service reads. A video, such as an MP4, has other brands in its box `ftyp`."""

_LONGEST_BOX = 1_024
"""Maximum number of bytes of the box `ftyp`. The service reads no brand after these bytes."""


def read_pictures(names: Sequence[str]) -> list[Picture]:
    """Return the pictures at the given paths and URLs. The id of a picture is its path or URL, shortened if it is very
    long.

    The first bytes of a file show whether it is a picture. They are checked before the file is sent, because a hostile
    text could make the assistant name any file of the user.

    Raises `PictureError` if a path is not absolute, or if the file cannot be read or is not a picture.
    """
    return pictures_of([_picture(name) for name in names])


def _picture(name: str) -> Picture:
    if name.startswith(("https://", "http://")):
        return Picture(id_of(name), url=name)
    try:
        path = Path(name).expanduser()
    except RuntimeError:  # The path begins with `~`, but there is no such user or no home folder.
        path = Path(name)
    if not path.is_absolute():
        raise PictureError(f"{name}: give the full path of the picture, which begins with /, or a URL")
    picture = Picture.from_file(path, id=id_of(name))
    if not _is_picture(picture.data or b""):
        raise PictureError(
            f"{name}: the file is not a picture and was not sent; give a JPEG, PNG, WebP, AVIF, HEIC, GIF or BMP file"
        )
    return picture


def _is_picture(data: bytes) -> bool:
    """Return whether the first bytes are those of a JPEG, PNG, WebP, AVIF, HEIC, GIF or BMP."""
    is_webp = data[:4] == b"RIFF" and data[8:12] == b"WEBP"
    is_bmp = data[:2] == b"BM" and data[6:10] == b"\0\0\0\0"
    return data.startswith(_SIGNATURES) or is_webp or is_bmp or not _BRANDS.isdisjoint(_brands(data))


def _brands(data: bytes) -> list[bytes]:
    """Return the main brand and the compatible brands in the box `ftyp` at the start of a file. The result is empty if
    the file does not begin with such a box, or if the length of the box is impossible.
    """
    length = int.from_bytes(data[:4], "big")
    if data[4:8] != b"ftyp" or length % 4 or not 16 <= length <= min(_LONGEST_BOX, len(data)):
        return []
    return [data[at : at + 4] for at in (8, *range(16, length, 4))]
