"""The interfaces of image and text encoders, and the operations on their vectors."""

from collections.abc import Sequence
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from thumblab_core.images import Pixels

Vectors = npt.NDArray[np.float32]
"""Vectors as float32 [n, d]. Every row has length 1."""


class ImageEncoder(Protocol):
    """An encoder that turns pictures into unit vectors.

    Preparing and encoding are separate steps, so that one thread can run the model while other threads prepare
    pictures.
    """

    fingerprint: str
    """A name for the model, weights, preprocessing and precision.

    Only vectors from encoders with equal fingerprints are comparable.
        """
    near_duplicate: float
    """The least cosine of the vectors of two pictures that count as the same picture."""
    largest_batch: int
    """The largest number of pictures to pass to `encode_prepared` at once. It limits the memory that is used."""

    @property
    def dimension(self) -> int: ...

    @property
    def decode_size(self) -> tuple[int, int]:
        """The width and the height that a decoded picture should at least have. More pixels would add no detail to the
        result of `prepare`.
        """
        ...

    def prepare(self, image: Pixels) -> npt.NDArray[Any]:
        """Prepare a picture, uint8 [h, w, 3] RGB of any size, for the model. Any thread may call this."""
        ...

    def encode_prepared(self, prepared: Sequence[npt.NDArray[Any]]) -> Vectors:
        """Encode n prepared pictures to vectors, float32 [n, d]. The function `usable` returns which rows are unit
        vectors.

        Only one thread at a time may call this.
        """
        ...

    def encode_images(self, images: Sequence[Pixels]) -> Vectors:
        """Prepare n pictures, uint8 [h, w, 3] RGB of any sizes, and encode them to vectors, float32 [n, d]."""
        ...


class TextEncoder(Protocol):
    """An encoder that turns texts into unit vectors."""

    fingerprint: str

    @property
    def dimension(self) -> int: ...

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Encode n texts to vectors, float32 [n, d]."""
        ...


class CrossModalEncoder(ImageEncoder, TextEncoder, Protocol):
    """An encoder for both pictures and texts. Vectors of pictures and vectors of texts are comparable."""


def text_tower(encoder: ImageEncoder) -> CrossModalEncoder | None:
    """Return the encoder itself if it also encodes texts, else None.

    This function loads no model. `isinstance` would load the model, because it evaluates the properties of a protocol.
    """
    return cast(CrossModalEncoder, encoder) if hasattr(type(encoder), "encode_texts") else None


NO_VECTOR = "the encoder gives no vector for this input (the output is all zeros or not finite)"


def usable(vectors: Vectors) -> npt.NDArray[np.bool_]:
    """Return which rows of `vectors`, [n, d], are unit vectors, as bool [n].

    For some pictures, a model gives NaN, infinities or zeros.
    """
    with np.errstate(invalid="ignore"):
        is_unit: npt.NDArray[np.bool_] = np.abs(np.linalg.norm(vectors, axis=-1) - 1) < 1e-3
    return is_unit


def unit(vectors: npt.ArrayLike) -> Vectors:
    """Scale every row to length 1. A row of zeros stays zero, and a row with NaN becomes zero.

    A row with an infinity becomes a row with NaN.
    """
    array = np.asarray(vectors, dtype=np.float32)
    with np.errstate(invalid="ignore", over="ignore"):
        norms = np.linalg.norm(array, axis=-1, keepdims=True)
        scaled: Vectors = np.divide(array, norms, out=np.zeros_like(array), where=norms > 0)
    return scaled
