"""Do two encoders, one of them faster and less exact, say the same of the same pictures?"""

from dataclasses import dataclass

import numpy as np

from thumblab_core.encoders.protocol import Vectors

LEAST_COSINE = 0.99
LEAST_ORDER = 0.98
NEIGHBOURS = 10
TOLERANCE = 0.1


@dataclass(frozen=True)
class Agreement:
    """How well a candidate's vectors of the same pictures agree with float32's.

    `mean_cosine`: of each picture's two vectors. `order`: of every two of a picture's ten nearest which float32 tells
    apart (their cosines to it differ by more than a tenth of the standard deviation of all cosines), the share that the
    candidate puts in the same order. That tolerance follows the encoder: an untrained one has all its cosines above 0.99.
    """

    mean_cosine: float
    order: float
    pictures: int

    @property
    def good(self) -> bool:
        return self.mean_cosine >= LEAST_COSINE and self.order >= LEAST_ORDER

    def __str__(self) -> str:
        return f"mean cosine {self.mean_cosine:.4f}, neighbour order {self.order:.3f} on {self.pictures} pictures"


def agreement(reference: Vectors, candidate: Vectors) -> Agreement:
    """Compare unit vectors, float32 [n, d], of the same n pictures (n of 3 or more) in two encoders."""
    if reference.shape != candidate.shape or len(reference) < 3:
        raise ValueError(f"two arrays of one shape with 3 rows or more, not {reference.shape} and {candidate.shape}")
    mean_cosine = float((reference * candidate).sum(axis=1).mean())
    count = len(reference)
    exact, found = reference @ reference.T, candidate @ candidate.T
    others = ~np.eye(count, dtype=bool)
    tolerance = TOLERANCE * float(exact[others].std())
    kept = told_apart = 0
    for row in range(count):
        near = np.argsort(-np.where(others[row], exact[row], -np.inf), kind="stable")[: min(NEIGHBOURS, count - 1)]
        before = exact[row, near][:, None] - exact[row, near][None, :]
        after = found[row, near][:, None] - found[row, near][None, :]
        counted = before > tolerance
        told_apart += int(counted.sum())
        kept += int((after[counted] > 0).sum())
    # Pictures that float32 itself cannot tell apart say nothing of the order, so nothing is promised of it.
    return Agreement(mean_cosine, kept / told_apart if told_apart else 0.0, count)
