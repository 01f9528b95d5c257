"""Which videos a model was trained on: a fingerprint of each lies in its release, so that nobody judges it on them."""

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from thumblab_core.encoders.load import weights_file
from thumblab_core.releases.release import Release

SEEN = "seen.npy"
"""The file of a release, of a model or a fine-tuned encoder, with the `fingerprints` of the videos it was trained on."""


def fingerprints(video_ids: Iterable[str]) -> npt.NDArray[np.uint64]:
    """The first 8 bytes (little-endian) of the SHA-256 of each id, each once and sorted; uint64 [n]."""
    return np.unique(_digests(list(video_ids)))


def seen_by_encoder(name: str) -> npt.NDArray[np.uint64]:
    """The fingerprints of the videos that an image encoder was fine-tuned on: they lie beside its weights.

    `name` is as in `THUMBLAB_IMAGE_ENCODER`, with a precision or not. None of encoders that nobody fine-tuned here.
    """
    weights = weights_file(name)
    if weights is None or not (weights.parent / SEEN).is_file():
        return np.empty(0, np.uint64)
    return np.asarray(np.load(weights.parent / SEEN, allow_pickle=False), np.uint64)


def seen_by(release: Release, video_ids: Sequence[str]) -> npt.NDArray[np.bool_] | None:
    """Which of the videos the model or its encoder was trained on, [n]; None where its release does not say.

    Two of a billion videos share a fingerprint once in forty times: what that costs is a pair that is not judged.
    """
    if SEEN not in release.files:
        return None
    seen = np.load(release.path / SEEN, allow_pickle=False)
    return np.isin(_digests(video_ids), seen)


def _digests(video_ids: Sequence[str]) -> npt.NDArray[np.uint64]:
    joined = b"".join(hashlib.sha256(video_id.encode()).digest()[:8] for video_id in video_ids)
    return np.frombuffer(joined, "<u8").astype(np.uint64)
