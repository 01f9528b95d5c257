"""A picture that was sent, and facts about the picture. The service caches the facts, so that it need not decode the
picture again.
"""

from dataclasses import dataclass

from thumblab_core.errors import LabError
from thumblab_core.images import Picture, decode, digest
from thumblab_core.images.perceptual import Appearance


@dataclass(frozen=True)
class PictureFacts:
    """The facts about a picture that an answer needs besides vectors and measurements. See `Picture` for the first
    three fields.
    """

    width: int
    height: int
    animated: bool
    appearance: Appearance


class SentPicture:
    """The bytes of a picture file, and their SHA-256 as `sha256`. Only one thread at a time may use this object.

    The file is decoded at the first use of `decoded`. `functools.cached_property` is not used for this, because on
    Python 3.11 it has one lock for all objects of a class. A slow decoding would then delay all other objects.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.sha256 = digest(data)
        self._decoded: Picture | None = None

    @property
    def decoded(self) -> Picture:
        """The decoded picture. Raises `ImageError` if the file exceeds a limit or cannot be decoded."""
        if self._decoded is None:
            self._decoded = decode(self.data)
        return self._decoded

    def facts(self) -> PictureFacts:
        """Decode the picture, and return the facts that the service caches."""
        picture = self.decoded
        return PictureFacts(picture.width, picture.height, picture.animated, Appearance.of(picture.pixels))


class UnknownPictureError(LabError):
    """The error that is raised if a `KnownPicture` would have to be decoded."""


class KnownPicture(SentPicture):
    """A picture whose vectors and measurements should all be cached, so the picture is never decoded."""

    @property
    def decoded(self) -> Picture:
        """Raises `UnknownPictureError`, because something about the picture is not cached."""
        raise UnknownPictureError("the picture is not cached, so an examining thread must decode it")
