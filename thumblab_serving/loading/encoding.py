"""The encoders of the service.

An encoder loads some of its parts only at its first use. So when the service loads an encoder, the service encodes one
picture or title (warm-up). No request then has to wait for these parts. Only one thread at a time uses the encoders.
The vectors that the encoders make are cached.
"""

import threading
from collections import defaultdict
from collections.abc import Callable
from typing import TypeVar
from weakref import WeakValueDictionary

import numpy as np

from thumblab_core.encoders.protocol import NO_VECTOR, ImageEncoder, TextEncoder, Vectors, text_tower, usable
from thumblab_core.images import ImageError, decode
from thumblab_serving.loading.cache import Cache
from thumblab_serving.loading.sent_picture import SentPicture
from thumblab_serving.loading.shared_values import shared_vectors
from thumblab_serving.loading.text_tower import TextTower
from thumblab_serving.workers.shared_cache import SharedCache

Item = TypeVar("Item")

_CACHED_PICTURES = 4096
_CACHED_TITLES = 2048
_BLANK = np.zeros((36, 64, 3), np.uint8)


class Encoders:
    """The title encoder of the service and the image encoders of its releases, with caches for their vectors.

    Usually, all releases name the same image encoder. While the lab changes from one image encoder to another, there
    are two image encoders. An image encoder stays in memory as long as a loaded release uses it. An image encoder that
    no release uses stays until `drop_unused` is called. Many threads may use this object at the same time.

    With `shared`, the workers of the service share the vectors.
    """

    def __init__(
        self, title: TextEncoder, load: Callable[[str], ImageEncoder], shared: SharedCache | None = None
    ) -> None:
        self.title = title
        self.pictures = Cache[Vectors](_CACHED_PICTURES, shared=shared_vectors(shared, "picture"))
        self.titles = Cache[Vectors](_CACHED_TITLES, shared=shared_vectors(shared, "title"))
        self._load = load
        self._images: WeakValueDictionary[str, ImageEncoder] = WeakValueDictionary()
        self._requested: list[ImageEncoder] = []
        self._towers: dict[str, TextTower] = {}
        self._loading: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        # Only one thread at a time encodes. A fast tokenizer fails with "Already borrowed" if two threads use it at
        # once. Two forward passes at the same time would not be faster, because they would share the same cores.
        self._one_at_a_time = threading.Lock()

    def warm(self) -> None:
        """Load the title encoder by encoding one title. Raises `LabError` if the title encoder cannot be loaded."""
        self._encode(self.title.encode_texts, "warm")

    def image(self, name: str) -> ImageEncoder:
        """Return the image encoder with this name, warmed up. Raises `LabError` if the encoder cannot be loaded.

        Threads that use or load another encoder do not wait while this encoder is loaded.
        """
        loaded = self._load(name)
        encoder = self._images.get(loaded.fingerprint)
        if encoder is None:
            with self._loading[loaded.fingerprint]:
                encoder = self._images.get(loaded.fingerprint) or self._warmed(loaded)
        self._requested.append(encoder)
        return encoder

    def drop_unused(self) -> None:
        """Drop the references to the encoders that `image` returned. Only encoders that a loaded release uses stay in
        memory.
        """
        self._requested.clear()

    def by_fingerprint(self, fingerprint: str) -> ImageEncoder:
        """Return the image encoder with this fingerprint. Call this only while a loaded release uses the encoder."""
        return self._images[fingerprint]

    @property
    def fingerprints(self) -> list[str]:
        """The fingerprints of the warm image encoders, sorted."""
        return sorted(self._images.keys())

    @property
    def missing(self) -> list[str]:
        """Sentences that say why `title_match` is not measured.

        A text tower is the part of an image encoder that encodes texts. There is one sentence for each warm image
        encoder whose text tower is not loaded.
        """
        towers = [self._towers[name] for name in self.fingerprints if name in self._towers]
        return [tower.missing for tower in towers if tower.missing is not None]

    def picture(self, fingerprint: str, sent: SentPicture) -> Vectors:
        """Return the unit vector [d] of a picture. The picture is encoded in the same way as the pictures of the
        library.

        The vector is cached under the hash of the file's bytes. If the vector is not cached, the file is decoded. The
        first decoding may have reduced the picture. If this encoder needs more pixels, the file is decoded a second
        time. Raises `ImageError` if the file cannot be decoded, or if the encoder returns no usable vector.
        """
        encoder = self.by_fingerprint(fingerprint)

        def make() -> Vectors:
            picture = sent.decoded
            same = picture.has_pixels_for(encoder.decode_size)
            pixels = picture.pixels if same else decode(sent.data, encoder.decode_size).pixels
            prepared = encoder.prepare(pixels)
            vector = self._encode(encoder.encode_prepared, prepared)
            if not usable(vector):
                raise ImageError(NO_VECTOR)
            return vector

        return self.pictures.get((fingerprint, sent.sha256), make)

    def title_vector(self, title: str) -> Vectors:
        """Return the unit vector [d] that the title encoder makes of a title."""
        key = (self.title.fingerprint, title)
        return self.titles.get(key, lambda: self._encode(self.title.encode_texts, title))

    def title_in_picture_space(self, fingerprint: str, title: str) -> Vectors | None:
        """Return the unit vector [d] that the text tower of an image encoder makes of a title.

        Return None if the image encoder has no text tower, or if the text tower returns no usable vector. Raises
        `TextTowerError` while the text tower cannot be loaded.
        """
        tower = text_tower(self.by_fingerprint(fingerprint))
        if tower is None:
            return None
        self._towers[fingerprint].require(tower)
        vector = self.titles.get((fingerprint, title), lambda: self._encode(tower.encode_texts, title))
        return vector if usable(vector) else None

    def _warmed(self, encoder: ImageEncoder) -> ImageEncoder:
        # No other thread has this encoder yet, so the lock of `_encode` is not needed.
        encoder.encode_images([_BLANK])
        tower = text_tower(encoder)
        if tower is not None:
            self._towers[encoder.fingerprint] = TextTower(tower)
        self._images[encoder.fingerprint] = encoder
        return encoder

    def _encode(self, encode: Callable[[list[Item]], Vectors], item: Item) -> Vectors:
        with self._one_at_a_time:
            vector: Vectors = encode([item])[0]
        return vector
