"""Compute fingerprints of videos, and find the videos on which a model was trained.

The release of a model or of a fine-tuned encoder stores the fingerprints of its training videos. A model is not
evaluated on these videos.
"""

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Flags
from thumblab_core.encoders.load import weights_file
from thumblab_core.releases.release import Release

FINGERPRINTS_FILE = "seen.npy"
"""Name of the file with the fingerprints, in the release of a model or of a fine-tuned encoder.

The file has the fingerprints of the training videos. If a model was trained on one-video pairs, the file also has a
fingerprint of each pair, which is computed from the id of the pair.
"""


def fingerprints(video_ids: Iterable[str]) -> npt.NDArray[np.uint64]:
    """Return the sorted fingerprints of the distinct ids, uint64 [n].

    A fingerprint is the first 8 bytes (little-endian) of the SHA-256 of the id.
    """
    return np.unique(_digests(list(video_ids)))


def encoder_fingerprints(name: str) -> npt.NDArray[np.uint64]:
    """Return the fingerprints of the videos that an image encoder was fine-tuned on.

    The fingerprints are in a file beside the encoder's weights.

    `name`: a value of `THUMBLAB_IMAGE_ENCODER`, with or without a precision. The result is empty for an encoder that
    this lab did not fine-tune.
    """
    weights = weights_file(name)
    if weights is None or not (weights.parent / FINGERPRINTS_FILE).is_file():
        return np.empty(0, np.uint64)
    return np.asarray(np.load(weights.parent / FINGERPRINTS_FILE, allow_pickle=False), np.uint64)


def was_trained_on(release: Release, video_ids: Sequence[str]) -> Flags | None:
    """Return which videos [n] the model or its encoder was trained on. Return None if the release does not record its
    training videos.

    Two different videos may have the same fingerprint. Among a billion videos, the chance that any two videos have the
    same fingerprint is about one in forty. The harm is small: a video that is mistaken for a training video is only
    left out of the evaluation.
    """
    if FINGERPRINTS_FILE not in release.files:
        return None
    trained_on = np.load(release.path / FINGERPRINTS_FILE, allow_pickle=False)
    return np.isin(_digests(video_ids), trained_on)


def _digests(video_ids: Sequence[str]) -> npt.NDArray[np.uint64]:
    joined = b"".join(hashlib.sha256(video_id.encode()).digest()[:8] for video_id in video_ids)
    return np.frombuffer(joined, "<u8").astype(np.uint64)
