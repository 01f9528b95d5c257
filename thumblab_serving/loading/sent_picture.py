"""A picture that was sent, and the facts that the service keeps so that it need not decode the picture again."""

from dataclasses import dataclass
from functools import cached_property

from thumblab_core.images import Picture, decode, digest
from thumblab_core.images.perceptual import Appearance


@dataclass(frozen=True)
class PictureFacts:
    """The facts of a picture that an answer needs, besides its vectors and measurements. See `Picture` for the first
    three.
    """

    width: int
    height: int
    animated: bool
    appearance: Appearance


class SentPicture:
    """The bytes of a picture file, which are decoded at the first use of `decoded`. One thread uses it at a time."""

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
        """Decode the picture, and return the facts that the service keeps of it."""
        picture = self.decoded
        return PictureFacts(picture.width, picture.height, picture.animated, Appearance.of(picture.pixels))
