"""The pictures of a request: files, bytes, or URLs that the service fetches."""

import base64
import os
import re
import stat
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from thumblab_client.errors import PictureError

MAX_BYTES = 50 * 2**20
"""The size in bytes of the largest picture that the service reads."""

MAX_ID = 128
"""Maximum number of characters of an id."""

_NOT_IN_IDS = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""The Unicode categories whose characters an id cannot have: control, format and surrogate characters, line breaks."""

_PLAIN_NAME = re.compile(r"[\w .()+-]{1,128}")
"""The file names that a multipart form transmits unchanged. Browsers and libraries escape other characters in different
ways.
"""


@dataclass(frozen=True)
class Picture:
    """A picture. The answer refers to it by its `id`. Exactly one of `data` and `url` is not None.

    `title` is the picture's own title. For this picture, it replaces the titles of the request.
    """

    id: str
    data: bytes | None = field(default=None, repr=False)
    url: str | None = None
    title: str | None = None

    def __post_init__(self) -> None:
        if (self.data is None) == (self.url is None):
            raise PictureError(f"{self.id}: give either data or url")
        if self.data is not None and len(self.data) > MAX_BYTES:
            raise PictureError(_too_long(self.id))

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], id: str | None = None, title: str | None = None) -> "Picture":
        """Return the picture in a file. Its id is the name of the file, if no `id` is given.

        Raises `PictureError` if the file cannot be read, is not a regular file, or is larger than 50 MiB.
        """
        path = Path(path)
        name = id or path.name
        try:
            # Without O_NONBLOCK, opening a named pipe would wait until another process writes into the pipe.
            with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:  # noqa: PTH123
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise PictureError(f"{path}: this is not a file; give the path of a picture")
                data = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise PictureError(f"{path}: the file cannot be read ({error.strerror})") from None
        except ValueError as error:  # The path contains a null character.
            raise PictureError(f"{str(path)!r}: this is not a path ({error})") from None
        if len(data) > MAX_BYTES:
            raise PictureError(_too_long(str(path)))
        return cls(name, data, title=title)


PictureLike = Picture | str | os.PathLike[str]
"""A picture, the path of a file, or a URL as a text that begins with `https://` or `http://`."""


def pictures_of(given: Iterable[PictureLike]) -> list[Picture]:
    """Return the pictures, each with a different id. The id of a URL is the URL.

    The id of a file is its name. If two files in different folders have the same name, their ids are the paths that the
    caller gave. Characters that an id cannot have become `?`. If the id is too long, its beginning is cut off. Raises
    `PictureError` if two pictures still have the same id.
    """
    if isinstance(given, str | os.PathLike | Picture):
        raise PictureError("give a list of pictures, not one picture")
    items = list(given)
    pictures = [_picture(item) for item in items]
    names = [picture.id for picture in pictures]
    pictures = [
        Picture(id_of(os.fspath(item)), picture.data)
        if names.count(picture.id) > 1 and not isinstance(item, Picture) and picture.url is None
        else picture
        for item, picture in zip(items, pictures, strict=True)
    ]
    ids = [picture.id for picture in pictures]
    for id_ in ids:
        if ids.count(id_) > 1:
            raise PictureError(f"{id_}: two pictures have this id; give each picture once, or give distinct ids")
    return pictures


def fit_into_a_form(pictures: Iterable[Picture]) -> bool:
    """Return whether a form can carry the pictures: each picture has bytes, and its id is a plain file name."""
    return all(picture.data is not None and _PLAIN_NAME.fullmatch(picture.id) for picture in pictures)


def in_json(picture: Picture) -> dict[str, str]:
    """Return the JSON object that describes the picture in a request. The id of the picture is left out."""
    if picture.url is not None:
        return {"url": picture.url}
    return {"image_base64": base64.b64encode(picture.data or b"").decode()}


def _picture(given: PictureLike) -> Picture:
    if isinstance(given, Picture):
        return given
    if isinstance(given, str) and given.startswith(("https://", "http://")):
        return Picture(id_of(given), url=given)
    picture = Picture.from_file(given)
    return replace(picture, id=id_of(picture.id))


def id_of(name: str) -> str:
    """Return the id of a picture with this path or URL. Characters that the service does not accept in an id become
    `?`, and a long name is shortened.
    """
    clean = "".join("?" if unicodedata.category(character) in _NOT_IN_IDS else character for character in name)
    return clean if len(clean) <= MAX_ID else "…" + clean[1 - MAX_ID :]


def _too_long(name: str) -> str:
    return f"{name}: the picture is larger than {MAX_BYTES // 2**20} MiB, the most that the service reads"
