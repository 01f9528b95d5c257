"""Which of many pictures are near-duplicates: by file, by perceptual hash, or by the vectors of an encoder."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from thumblab_core.encoders.protocol import Vectors
from thumblab_core.perceptual import NEAR, near_duplicates

_BLOCK = 2**24
"""Numbers in memory at a time: 64 MiB of cosines."""

Edges = npt.NDArray[np.intp]


def alike(
    sha256: Sequence[str], phashes: Sequence[int | None], vectors: Vectors | None = None, threshold: float = 1.0
) -> Edges:
    """[m, 2] every two of n pictures that look alike, the earlier row first, in order and each once.

    Alike are the very same file, hashes within 6 bits (None: not known), and unit vectors [n, d] whose cosine is at least
    the threshold. All couples are looked at: 20,000 vectors of 768 numbers take some seconds, twice as many four times that.
    """
    found = [_same_file(sha256), _near_hashes(phashes)]
    if vectors is not None:
        found.append(_near_vectors(vectors, threshold))
    return np.unique(np.concatenate(found), axis=0)


def repeats(count: int, edges: Edges) -> npt.NDArray[np.bool_]:
    """[n] whether a picture looks like an earlier one that stays. So of several alike the first stays."""
    gone = np.zeros(count, bool)
    # By the later row: whether an earlier one stays is known by then.
    for earlier, later in edges[np.argsort(edges[:, 1], kind="stable")]:
        gone[later] |= not gone[earlier]
    return gone


def _same_file(sha256: Sequence[str]) -> Edges:
    rows: dict[str, list[int]] = {}
    for row, digest in enumerate(sha256):
        rows.setdefault(digest, []).append(row)
    return _edges([(a, b) for same in rows.values() for place, a in enumerate(same) for b in same[place + 1 :]])


def _near_hashes(phashes: Sequence[int | None]) -> Edges:
    known = np.array([row for row, phash in enumerate(phashes) if phash is not None], np.intp)
    hashes = np.array([phash for phash in phashes if phash is not None], np.int64)
    near = near_duplicates(hashes)
    rows, bits = known[near], hashes[near].view(np.uint64)
    found = []
    for place in range(len(rows)):
        close = np.flatnonzero(np.bitwise_count(bits[place] ^ bits[place + 1 :]) <= NEAR) + place + 1
        found += [(int(rows[place]), int(other)) for other in rows[close]]
    return _edges(found)


def _near_vectors(vectors: Vectors, threshold: float) -> Edges:
    found = [_edges([])]
    start, count = 0, len(vectors)
    while start < count:
        block = vectors[start : start + max(1, _BLOCK // (count - start))]
        # Only with itself and what comes after: the product of a block is what BLAS does best, and half of all are enough.
        place, other = np.nonzero(block @ vectors[start:].T >= threshold)
        found.append(np.stack([place, other], axis=1)[other > place] + start)
        start += len(block)
    return np.concatenate(found)


def _edges(couples: list[tuple[int, int]]) -> Edges:
    return np.array(couples, np.intp).reshape(-1, 2)
