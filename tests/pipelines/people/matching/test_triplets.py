"""Test the triplet loss, its gradient and the choice of negatives."""

import numpy as np
import pytest

from thumblab_pipelines.people.matching.triplets import semi_hard, triplet_loss


def batch(seed: int = 0):
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(4), 5)
    vectors = rng.normal(size=(20, 6)) + rng.normal(size=(4, 6))[person]
    same = (person[:, None] == person) & ~np.eye(20, dtype=bool)
    return rng.normal(size=(6, 6)), vectors, same, person[:, None] != person


def plain_loss(matrix, vectors, same, different, margin):
    """Return the loss, computed from its definition for one triplet at a time."""
    units = vectors @ matrix.T
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    losses = []
    for anchor, positive in zip(*np.nonzero(same), strict=True):
        near = ((units[anchor] - units[positive]) ** 2).sum()
        others = sorted(((units[anchor] - units[other]) ** 2).sum() for other in np.nonzero(different[anchor])[0])
        far = next((distance for distance in others if distance > near), others[-1])
        losses.append(max(0.0, margin + near - far))
    return np.mean(losses)


@pytest.mark.parametrize("margin", [0.2, 1.0])
def test_the_loss_is_that_of_its_definition(margin: float) -> None:
    loss, _ = triplet_loss(*batch(), margin)
    assert loss > 0
    assert loss == pytest.approx(plain_loss(*batch(), margin), rel=1e-9)


def test_the_gradient_is_the_slope_of_the_loss() -> None:
    matrix, *rest = batch()
    gradient = triplet_loss(matrix, *rest, 0.2)[1]
    for row, column in np.ndindex(matrix.shape):
        step = np.zeros_like(matrix)
        step[row, column] = 1e-6
        slope = (triplet_loss(matrix + step, *rest, 0.2)[0] - triplet_loss(matrix - step, *rest, 0.2)[0]) / 2e-6
        assert gradient[row, column] == pytest.approx(slope, abs=1e-6)


def test_a_negative_is_the_nearest_that_is_farther_than_the_positive() -> None:
    distances = np.array([[0.0, 0.5, 0.3, 0.6, 0.9], *np.zeros((4, 5))])
    different = np.zeros((5, 5), bool)
    different[0, 2:] = True
    anchor, positive = np.array([0]), np.array([1])
    assert semi_hard(distances, anchor, positive, different).tolist() == [3]
    # A negative must be farther away than the positive. The face 3 now has the same distance as the positive, so the
    # face 4 is chosen as the negative.
    distances[0, 1] = 0.6
    assert semi_hard(distances, anchor, positive, different).tolist() == [4]
    distances[0, 1] = 1.0  # Now all other faces are nearer than the positive, so the farthest face is chosen.
    assert semi_hard(distances, anchor, positive, different).tolist() == [4]


def test_a_batch_of_one_person_has_no_loss() -> None:
    matrix, vectors, same, _ = batch()
    loss, gradient = triplet_loss(matrix, vectors, same, np.zeros_like(same), 0.2)
    assert loss == 0
    assert not gradient.any()
