"""The encoders as a service needs them: warm, one caller at a time, and never the same picture twice."""

import threading
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from thumblab_core.encoders.protocol import NO_VECTOR, ImageEncoder, TextEncoder, Vectors, text_tower, usable
from thumblab_core.images import ImageError, decode
from thumblab_serving.cache import Cache

Item = TypeVar("Item")

_CACHED_PICTURES = 4096
_CACHED_TITLES = 1024
_BLANK = np.zeros((36, 64, 3), np.uint8)


class Encoders:
    """The title encoder of this service and the image encoders of its releases, with caches. Safe from many threads.

    All releases name one image encoder, but while the lab changes over to another one there are two.
    """

    def __init__(self, title: TextEncoder, load: Callable[[str], ImageEncoder]) -> None:
        self.title = title
        self.pictures = Cache[Vectors](_CACHED_PICTURES)
        self._load = load
        self._images: dict[str, ImageEncoder] = {}
        self._titles = Cache[Vectors](_CACHED_TITLES)
        self._tower_titles = Cache[Vectors](_CACHED_TITLES)
        # Fast tokenizers stop with "Already borrowed" when two threads share one, and two forward passes at once
        # only take each other's cores.
        self._one_at_a_time = threading.Lock()

    def warm(self) -> None:
        """Load the title encoder by using it once. Raises `LabError` when it cannot be loaded."""
        self._encode(self.title.encode_texts, "warm")

    def image(self, name: str) -> ImageEncoder:
        """The image encoder of that name, warm. Raises `LabError` when it cannot be loaded."""
        encoder = self._load(name)
        if encoder.fingerprint not in self._images:
            self._encode(encoder.encode_images, _BLANK)
            self._images[encoder.fingerprint] = encoder
        return self._images[encoder.fingerprint]

    def of(self, fingerprint: str) -> ImageEncoder:
        """The image encoder that a loaded release was made with."""
        return self._images[fingerprint]

    @property
    def fingerprints(self) -> list[str]:
        """Of the image encoders that are warm."""
        return list(self._images)

    def picture(self, fingerprint: str, sha256: str, data: bytes) -> Vectors:
        """The unit vector [d] of a picture's bytes, made as the library's are, and remembered under their hash."""
        encoder = self.of(fingerprint)

        def make() -> Vectors:
            prepared = encoder.prepare(decode(data, encoder.decode_size).pixels)
            vector = self._encode(encoder.encode_prepared, prepared)
            if not usable(vector):
                raise ImageError(NO_VECTOR)
            return vector

        return self.pictures.get((fingerprint, sha256), make)

    def words(self, title: str) -> Vectors:
        """The unit vector [d] of a title."""
        return self._titles.get(title, lambda: self._encode(self.title.encode_texts, title))

    def words_beside_pictures(self, fingerprint: str, title: str) -> Vectors | None:
        """The title in the pictures' own space [d]; None when that image encoder has no text tower, or no vector of it."""
        tower = text_tower(self.of(fingerprint))
        if tower is None:
            return None
        vector = self._tower_titles.get((fingerprint, title), lambda: self._encode(tower.encode_texts, title))
        return vector if usable(vector) else None

    def _encode(self, encode: Callable[[list[Item]], Vectors], item: Item) -> Vectors:
        with self._one_at_a_time:
            vector: Vectors = encode([item])[0]
        return vector
