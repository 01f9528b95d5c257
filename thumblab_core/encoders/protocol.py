"""What an encoder is to the rest of the lab."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from thumblab_core.images import Pixels

Vectors = npt.NDArray[np.float32]
"""float32 [n, d], every row of length 1."""


class ImageEncoder(Protocol):
    """Pictures in, unit vectors out."""

    fingerprint: str
    """Model, weights, preprocessing and version; two vectors are comparable only when theirs are equal."""
    near_duplicate: float
    """The cosine from which on two pictures count as the same picture, in this encoder's space."""

    @property
    def dimension(self) -> int: ...

    def encode_images(self, images: Sequence[Pixels]) -> Vectors:
        """Encode n pictures (uint8 [h, w, 3] RGB, any sizes) to float32 [n, d]."""
        ...


class TextEncoder(Protocol):
    """Texts in, unit vectors out."""

    fingerprint: str

    @property
    def dimension(self) -> int: ...

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Encode n texts to float32 [n, d]."""
        ...


@runtime_checkable
class CrossModalEncoder(ImageEncoder, TextEncoder, Protocol):
    """An encoder with a text tower: its pictures and texts share one space."""


def unit(vectors: npt.ArrayLike) -> Vectors:
    """Rows scaled to length 1; a row of zeros stays as it is."""
    array = np.asarray(vectors, dtype=np.float32)
    norms = np.linalg.norm(array, axis=-1, keepdims=True)
    scaled: Vectors = np.divide(array, norms, out=np.zeros_like(array), where=norms > 0)
    return scaled
