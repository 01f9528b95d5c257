"""Read the pictures that an assistant names. A file that is not a picture is never sent to the service."""

from collections.abc import Sequence
from pathlib import Path

from thumblab_client.errors import PictureError
from thumblab_client.pictures import Picture, id_of, pictures_of

_SIGNATURES = (
    (0, b"\xff\xd8\xff"),
    (0, b"\x89PNG\r\n\x1a\n"),
    (8, b"WEBP"),
    (0, b"GIF8"),
    (4, b"ftyp"),
    (6, b"\0\0\0\0"),
)
"""The offset and the bytes that identify each format: the signatures of JPEG, PNG, WebP, GIF, AVIF and HEIC, and the
zeros in the header of a BMP.
"""


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
    found = [data[at : at + len(start)] == start for at, start in _SIGNATURES]
    return any(found[:-1]) or (data.startswith(b"BM") and found[-1])
