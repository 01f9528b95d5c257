"""Compute the triplet loss with semi-hard negatives, and its gradient, for a linear map of vectors.

A triplet has an anchor, a positive (another face of the same person) and a negative (a face of another person). The
loss of a triplet is max(0, margin + |anchor - positive|^2 - |anchor - negative|^2), on unit vectors [1]_. The gradient
is computed by a formula. So this module does not import PyTorch. The import would take longer than most trainings.

.. [1] F. Schroff, D. Kalenichenko and J. Philbin, "FaceNet: a unified embedding for face recognition and clustering",
   CVPR 2015.
"""

import numpy as np

from thumblab_core.arrays import Flags, Float64s, Rows


def triplet_loss(
    matrix: Float64s, vectors: Float64s, same: Flags, different: Flags, margin: float
) -> tuple[float, Float64s]:
    """Return the mean triplet loss of a batch, and its gradient with respect to `matrix` [d', d].

    Each pair of an anchor and a positive has one triplet, whose negative is semi-hard, see `semi_hard`. The loss and
    the gradient are 0 if the batch has no triplet.

    Parameters
    ----------
    vectors
        The vectors of the batch [b, d].
    same, different
        Flags [b, b] for each pair of faces of the batch: whether they show the same person, and whether they show
        different people. Both flags are false for a face and itself.
    """
    mapped = vectors @ matrix.T
    lengths = np.maximum(np.linalg.norm(mapped, axis=1, keepdims=True), 1e-12)
    units = mapped / lengths
    distances = 2.0 - 2.0 * (units @ units.T)
    anchor, positive = np.nonzero(same & np.any(different, axis=1, keepdims=True))
    if not len(anchor):
        return 0.0, np.zeros_like(matrix)
    negative = semi_hard(distances, anchor, positive, different)
    losses = margin + distances[anchor, positive] - distances[anchor, negative]
    active = losses > 0
    anchor, positive, negative = anchor[active], positive[active], negative[active]
    # If the loss of a triplet of unit vectors a, p and n is above 0, the loss is margin - 2 a.p + 2 a.n. So the loss of
    # the batch is a weighted sum of products of two vectors. `weights` [b, b] has the weight of each product.
    weights = np.zeros_like(distances)
    np.add.at(weights, (anchor, positive), -2.0)
    np.add.at(weights, (anchor, negative), 2.0)
    of_units = (weights + weights.T) @ units / len(losses)
    # Only the part of the gradient that is perpendicular to a vector changes the direction of the vector. The parallel
    # part has no effect, because the vector is scaled to length 1.
    of_mapped = (of_units - (of_units * units).sum(axis=1, keepdims=True) * units) / lengths
    return float(losses[active].sum() / len(losses)), of_mapped.T @ vectors


def semi_hard(distances: Float64s, anchor: Rows, positive: Rows, different: Flags) -> Rows:
    """Return the negative of each pair of an anchor and a positive [t].

    The negative is a face of another person that is farther from the anchor than the positive. Of these faces, the
    nearest is taken. If no face of another person is farther than the positive, the farthest face of another person is
    taken. The nearest face of any other person would be a harder negative. But such negatives often have wrong labels,
    and can make all vectors equal.
    """
    masked = np.where(different, distances, np.inf)
    order = np.argsort(masked, axis=1)
    # Squared distances are at most 4. If 10 times the row number is added to each row, all rows together are one
    # ascending sequence. So one search finds the negatives of all rows.
    ascending = np.minimum(np.take_along_axis(masked, order, axis=1), 5.0) + 10.0 * np.arange(len(order))[:, None]
    wanted = distances[anchor, positive] + 10.0 * anchor
    nearer = np.searchsorted(ascending.ravel(), wanted, side="right") - anchor * order.shape[1]
    return np.asarray(order[anchor, np.minimum(nearer, different.sum(axis=1)[anchor] - 1)])
