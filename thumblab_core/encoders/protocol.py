"""What an encoder is to the rest of the lab."""

from collections.abc import Sequence
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from thumblab_core.images import Pixels

Vectors = npt.NDArray[np.float32]
"""float32 [n, d], every row of length 1."""


class ImageEncoder(Protocol):
    """Pictures in, unit vectors out, in two parts, so that one thread can run the model while others prepare."""

    fingerprint: str
    """Model, weights, preprocessing and precision; two vectors are comparable only when theirs are equal."""
    near_duplicate: float
    """The cosine from which on two pictures count as the same picture, in this encoder's space."""
    largest_batch: int
    """Pictures that one call of `encode_prepared` may be given without memory becoming a question."""

    @property
    def dimension(self) -> int: ...

    @property
    def decode_size(self) -> tuple[int, int]:
        """Width and height that a picture needs to be decoded to at least; more is thrown away in preparing."""
        ...

    def prepare(self, image: Pixels) -> npt.NDArray[Any]:
        """What is done to a picture (uint8 [h, w, 3] RGB, any size) before the model sees it. From any thread."""
        ...

    def encode_prepared(self, prepared: Sequence[npt.NDArray[Any]]) -> Vectors:
        """Encode n prepared pictures to float32 [n, d], see `usable`. For one caller at a time."""
        ...

    def encode_images(self, images: Sequence[Pixels]) -> Vectors:
        """Prepare and encode n pictures (uint8 [h, w, 3] RGB, any sizes) to float32 [n, d]."""
        ...


class TextEncoder(Protocol):
    """Texts in, unit vectors out."""

    fingerprint: str

    @property
    def dimension(self) -> int: ...

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Encode n texts to float32 [n, d]."""
        ...


class CrossModalEncoder(ImageEncoder, TextEncoder, Protocol):
    """An encoder with a text tower: its pictures and texts share one space."""


def text_tower(encoder: ImageEncoder) -> CrossModalEncoder | None:
    """The encoder itself where it has a text tower. Loads nothing, which `isinstance` would: it evaluates properties."""
    return cast(CrossModalEncoder, encoder) if hasattr(type(encoder), "encode_texts") else None


NO_VECTOR = "the encoder has no vector for it: it answered with zeros, or with NaN"


def usable(vectors: Vectors) -> npt.NDArray[np.bool_]:
    """Which rows of [n, d] are unit vectors, [n]. Of some pictures a model makes NaN, infinities or nothing but zeros."""
    with np.errstate(invalid="ignore"):
        found: npt.NDArray[np.bool_] = np.abs(np.linalg.norm(vectors, axis=-1) - 1) < 1e-3
    return found


def unit(vectors: npt.ArrayLike) -> Vectors:
    """Rows scaled to length 1; a row of zeros stays as it is, and one with NaN or an infinity is none any more."""
    array = np.asarray(vectors, dtype=np.float32)
    with np.errstate(invalid="ignore", over="ignore"):
        norms = np.linalg.norm(array, axis=-1, keepdims=True)
        scaled: Vectors = np.divide(array, norms, out=np.zeros_like(array), where=norms > 0)
    return scaled
