"""A picture that was sent, and facts about the picture. The service caches the facts, so that it need not decode the
picture again.
"""

from dataclasses import dataclass
from functools import cached_property

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
    """The bytes of a picture file. The file is decoded at the first use of `decoded`. Only one thread at a time may use
    this object.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data

    @cached_property
    def sha256(self) -> str:
        """The SHA-256 of the file's bytes."""
        return digest(self.data)

    @cached_property
    def decoded(self) -> Picture:
        """The decoded picture. Raises `ImageError` if the file exceeds a limit or cannot be decoded."""
        return decode(self.data)

    def facts(self) -> PictureFacts:
        """Decode the picture, and return the facts that the service caches."""
        picture = self.decoded
        return PictureFacts(picture.width, picture.height, picture.animated, Appearance.of(picture.pixels))
