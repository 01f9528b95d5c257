"""The encoders as a service needs them: warm, one caller at a time, and never the same picture twice."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from thumblab_core.encoders.protocol import CrossModalEncoder, ImageEncoder, TextEncoder, Vectors
from thumblab_core.images import Picture

Item = TypeVar("Item")

_CACHED_PICTURES = 4096
_CACHED_TITLES = 1024


class VectorCache:
    """The vectors [d] used last, by name; safe from many threads."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._vectors: OrderedDict[str, Vectors] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._vectors)

    def get(self, name: str, make: Callable[[], Vectors]) -> Vectors:
        """The vector called `name`, made when it is not there."""
        with self._lock:
            found = self._vectors.get(name)
            if found is not None:
                self._vectors.move_to_end(name)
                return found
        made = make()
        with self._lock:
            self._vectors[name] = made
            while len(self._vectors) > self._size:
                self._vectors.popitem(last=False)
        return made


class Encoders:
    """The image and the title encoder of this service, with caches. Safe from many threads."""

    def __init__(self, image: ImageEncoder, title: TextEncoder) -> None:
        self.image = image
        self.title = title
        self.pictures = VectorCache(_CACHED_PICTURES)
        self._titles = VectorCache(_CACHED_TITLES)
        self._tower_titles = VectorCache(_CACHED_TITLES)
        # Fast tokenizers stop with "Already borrowed" when two threads share one, and two forward passes at once
        # only take each other's cores.
        self._one_at_a_time = threading.Lock()

    def warm(self) -> None:
        """Load the models by using them once. Raises `LabError` when one cannot be loaded."""
        with self._one_at_a_time:
            self.image.encode_images([np.zeros((36, 64, 3), np.uint8)])
            self.title.encode_texts(["warm"])

    def picture(self, picture: Picture) -> Vectors:
        """The unit vector [d] of a picture, remembered under the hash of its bytes."""
        return self.pictures.get(picture.sha256, lambda: self._encode(self.image.encode_images, picture.pixels))

    def words(self, title: str) -> Vectors:
        """The unit vector [d] of a title."""
        return self._titles.get(title, lambda: self._encode(self.title.encode_texts, title))

    def words_beside_pictures(self, title: str) -> Vectors | None:
        """The title in the pictures' own space [d]; None when the image encoder has no text tower."""
        tower = self.image
        if not isinstance(tower, CrossModalEncoder):
            return None
        return self._tower_titles.get(title, lambda: self._encode(tower.encode_texts, title))

    def _encode(self, encode: Callable[[list[Item]], Vectors], item: Item) -> Vectors:
        with self._one_at_a_time:
            vector: Vectors = encode([item])[0]
        return vector
