"""The encoders as a service needs them: warm, one caller at a time, and never the same picture twice."""

import threading
from collections.abc import Callable
from typing import TypeVar
from weakref import WeakValueDictionary

import numpy as np

from thumblab_core.encoders.protocol import NO_VECTOR, ImageEncoder, TextEncoder, Vectors, text_tower, usable
from thumblab_core.images import ImageError, decode
from thumblab_serving.loading.cache import Cache
from thumblab_serving.loading.text_tower import TextTower

Item = TypeVar("Item")

_CACHED_PICTURES = 4096
_CACHED_TITLES = 2048
_BLANK = np.zeros((36, 64, 3), np.uint8)


class Encoders:
    """The title encoder of this service and the image encoders of its releases, with caches. Safe from many threads.

    All releases name one image encoder, but while the lab changes over to another one there are two. An encoder lives as
    long as somebody holds it: a loaded release, or until `let_go` whoever asked for it here.
    """

    def __init__(self, title: TextEncoder, load: Callable[[str], ImageEncoder]) -> None:
        self.title = title
        self.pictures = Cache[Vectors](_CACHED_PICTURES)
        self.titles = Cache[Vectors](_CACHED_TITLES)
        self._load = load
        self._images: WeakValueDictionary[str, ImageEncoder] = WeakValueDictionary()
        self._kept: list[ImageEncoder] = []
        self._towers: dict[str, TextTower] = {}
        self._loading = threading.Lock()
        # Fast tokenizers stop with "Already borrowed" when two threads share one, and two forward passes at once
        # only take each other's cores.
        self._one_at_a_time = threading.Lock()

    def warm(self) -> None:
        """Load the title encoder by using it once. Raises `LabError` when it cannot be loaded."""
        self._encode(self.title.encode_texts, "warm")

    def image(self, name: str) -> ImageEncoder:
        """The image encoder of that name, warm. Raises `LabError` when it cannot be loaded.

        Nobody waits for it who needs another one.
        """
        encoder = self._load(name)
        found = self._images.get(encoder.fingerprint)
        if found is None:
            with self._loading:
                found = self._images.get(encoder.fingerprint) or self._warmed(encoder)
        self._kept.append(found)
        return found

    def let_go(self) -> None:
        """Keep none but the encoders that somebody holds: what was asked for here is in use by now."""
        self._kept.clear()

    def of(self, fingerprint: str) -> ImageEncoder:
        """The image encoder that a loaded release was made with."""
        return self._images[fingerprint]

    @property
    def fingerprints(self) -> list[str]:
        """Of the image encoders that are warm."""
        return sorted(self._images.keys())

    @property
    def missing(self) -> list[str]:
        """Why `title_match` is not measured with an image encoder that is warm and has a text tower."""
        towers = [self._towers[name] for name in self.fingerprints if name in self._towers]
        return [tower.missing for tower in towers if tower.missing is not None]

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
        return self.titles.get(title, lambda: self._encode(self.title.encode_texts, title))

    def words_beside_pictures(self, fingerprint: str, title: str) -> Vectors | None:
        """The title in the pictures' own space [d]; None when that image encoder has no text tower, or no vector of it.

        Raises `TextTowerError` while it has one that cannot be loaded.
        """
        tower = text_tower(self.of(fingerprint))
        if tower is None:
            return None
        self._towers[fingerprint].require(tower)
        vector = self.titles.get((fingerprint, title), lambda: self._encode(tower.encode_texts, title))
        return vector if usable(vector) else None

    def _warmed(self, encoder: ImageEncoder) -> ImageEncoder:
        encoder.encode_images([_BLANK])  # not in line with the requests: nobody else has this one yet
        tower = text_tower(encoder)
        if tower is not None:
            self._towers[encoder.fingerprint] = TextTower(tower)
        self._images[encoder.fingerprint] = encoder
        return encoder

    def _encode(self, encode: Callable[[list[Item]], Vectors], item: Item) -> Vectors:
        with self._one_at_a_time:
            vector: Vectors = encode([item])[0]
        return vector
