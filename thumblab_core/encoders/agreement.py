"""Measure how well the vectors of a model in a faster, less exact precision agree with the model's float32 vectors."""

from dataclasses import dataclass

import numpy as np

from thumblab_core.encoders.protocol import Vectors

LEAST_COSINE = 0.99
"""The least mean cosine between the vectors of two encoders that agree."""
LEAST_ORDER = 0.98
"""Two encoders agree only if they put at least this share of neighbour pairs into the same order, see `Agreement`."""
NEIGHBOURS = 10
"""The number of nearest neighbours per picture. Their order is compared between the two encoders."""
TOLERANCE = 0.1
"""The order of two neighbours is compared only if their cosines differ enough.

The difference must be more than this share of the standard deviation of all cosines.
"""


@dataclass(frozen=True)
class Agreement:
    """The agreement of a candidate encoder's vectors with the float32 vectors of the same pictures.

    The order is measured on neighbour pairs. For each picture, a neighbour pair is two of its ten nearest neighbours in
    float32. The candidate agrees on the pair if the same neighbour is nearer to the picture in both encoders.

    A pair is left out if both neighbours are almost equally near in float32: their cosines differ by at most 0.1
    standard deviations of all cosines. This limit is relative, because the cosines of some encoders are all almost
    equal. For example, all cosines of an untrained encoder are above 0.99.

    Attributes:
        mean_cosine: the mean cosine between the two vectors of each picture.
        order: the share of neighbour pairs on which the candidate agrees.
        pictures: the number of pictures compared.
    """

    mean_cosine: float
    order: float
    pictures: int

    @property
    def good(self) -> bool:
        """Whether both figures reach their limits, `LEAST_COSINE` and `LEAST_ORDER`."""
        return self.mean_cosine >= LEAST_COSINE and self.order >= LEAST_ORDER

    def __str__(self) -> str:
        return f"mean cosine {self.mean_cosine:.4f}, neighbour order {self.order:.3f} on {self.pictures} pictures"


def agreement(reference: Vectors, candidate: Vectors) -> Agreement:
    """Compare the unit vectors that two encoders give for the same n pictures, float32 [n, d] each.

    Raises `ValueError` if the shapes differ or n is below 3.
    """
    if reference.shape != candidate.shape or len(reference) < 3:
        raise ValueError(
            f"reference {reference.shape} and candidate {candidate.shape} must have the same shape and at least 3 rows"
        )
    mean_cosine = float((reference * candidate).sum(axis=1).mean())
    count = len(reference)
    reference_cosines, candidate_cosines = reference @ reference.T, candidate @ candidate.T
    others = ~np.eye(count, dtype=bool)
    tolerance = TOLERANCE * float(reference_cosines[others].std())
    same_order = told_apart = 0
    for row in range(count):
        cosines = np.where(others[row], reference_cosines[row], -np.inf)
        near = np.argsort(-cosines, kind="stable")[: min(NEIGHBOURS, count - 1)]
        reference_gaps = reference_cosines[row, near][:, None] - reference_cosines[row, near][None, :]
        candidate_gaps = candidate_cosines[row, near][:, None] - candidate_cosines[row, near][None, :]
        counted = reference_gaps > tolerance
        told_apart += int(counted.sum())
        same_order += int((candidate_gaps[counted] > 0).sum())
    # If all pairs are left out, the order cannot be measured. Then `order` is 0, so that the candidate is refused.
    return Agreement(mean_cosine, same_order / told_apart if told_apart else 0.0, count)
