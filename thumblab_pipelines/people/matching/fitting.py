"""Train one head by triplet loss, with early stopping on held-out people.

The head is a linear map that starts as the identity. A penalty pulls the head towards the identity. So a head that was
trained on few people changes the vectors little.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from thumblab_core.arrays import Float64s, Rows
from thumblab_core.errors import LabError
from thumblab_pipelines.people.matching.labelled_faces import CodedFaces
from thumblab_pipelines.people.matching.triplets import triplet_loss

_BATCH, _PEOPLE_OF_A_BATCH = 128, 32
"""Number of faces, and maximum number of people, in a batch. If there are few people, a batch has more faces of each
person."""

_LEAST_FACES, _MOST_FACES = 4, 16
"""Minimum and maximum number of faces of a person in a batch."""

_LEAST_STEPS = 20
"""Minimum number of steps of an epoch. If there are few people, one batch has all their faces, and an epoch of one step
would change little."""

_RATE, _MOMENTUM = 0.1, 0.9
_LEAST_GAIN = 0.07
"""A head is kept only if its relative gain is above this number, divided by the square root of the number of held-out
people. The gain is how much better the head separates the held-out people than the identity does.

By chance alone, the best of many epochs is better than the identity. On real faces that training could not improve, the
separation of one or two held-out people rose by up to 3 %. But the true accept rate (TAR) on other people fell more
often than it rose.
"""

_HELD_OUT = 0.25
"""Share of the people that are held out for early stopping."""

_MOST_FACES_TO_STOP_BY = 400


@dataclass(frozen=True)
class HeadConfig:
    """The settings of a training. Raises `LabError` for an invalid value.

    `epochs`: maximum number of epochs. `margin`: the margin of the triplet loss, as a squared distance of unit vectors.
    `min_faces`: people with fewer labelled faces are left out. `patience`: a training stops after this many epochs in a
    row without an improvement. `penalty`: weight of the squared distance of the head from the identity.
    """

    epochs: int = 20
    margin: float = 0.2
    min_faces: int = 10
    patience: int = 5
    penalty: float = 0.01
    seed: int = 7

    def __post_init__(self) -> None:
        for name, least, most in (("epochs", 1, 1_000), ("min_faces", 3, 10_000), ("patience", 1, 1_000)):
            if not least <= getattr(self, name) <= most:
                raise LabError(f"{name} is {getattr(self, name)}; use a number from {least} to {most:,}")
        if not 0 < self.margin < 4:
            raise LabError(f"margin is {self.margin}; use a number above 0 and below 4")
        # A larger penalty would make the steps of the training diverge.
        if not 0 <= self.penalty <= 1:
            raise LabError(f"penalty is {self.penalty}; use a number from 0 to 1")


@dataclass(frozen=True)
class FittedHead:
    """A trained head. `matrix` [d, d]: the matrix after the epoch `best_epoch`. In epoch 0, the matrix is the identity.

    `losses`: mean triplet loss of each epoch. `separations`: separation of the held-out people
    (`_Validation.separation`) before training and after each epoch.
    """

    matrix: Float64s
    best_epoch: int
    losses: list[float]
    separations: list[float]


def fit_head(
    faces: CodedFaces, config: HeadConfig, seed: int, before_epoch: Callable[[int], None] = lambda epoch: None
) -> FittedHead:
    """Train a head on the faces of at least three people. A quarter of the people is held out for early stopping.

    The result has the weights of the epoch after which the head separated the held-out people best. The same arguments
    give the same head.

    `before_epoch` is called with the number of finished epochs.
    """
    rng = np.random.default_rng(seed)
    people = rng.permutation(np.unique(faces.people))
    held = people[: max(1, round(_HELD_OUT * len(people)))]
    training = faces.of(np.setdiff1d(people, held))
    validation = _Validation(faces, held, rng)
    identity = np.eye(faces.vectors.shape[1])
    matrix, velocity, best = identity.copy(), np.zeros_like(identity), identity
    best_epoch, losses, separations = 0, [], [validation.separation(identity)]
    target = separations[0] + _LEAST_GAIN / math.sqrt(len(held)) * abs(separations[0])
    steps = max(_LEAST_STEPS, math.ceil(len(training.people) / _BATCH))
    rows_of = [np.nonzero(training.people == person)[0] for person in np.unique(training.people)]
    each = max(_LEAST_FACES, min(_MOST_FACES, _BATCH // len(rows_of)))
    for epoch in range(1, config.epochs + 1):
        before_epoch(epoch - 1)
        total = 0.0
        for _ in range(steps):
            drawn = rng.permutation(len(rows_of))[:_PEOPLE_OF_A_BATCH]
            rows = np.concatenate([rng.permutation(rows_of[person])[:each] for person in drawn])
            same = training.same(rows[:, None], rows[None, :])
            different = ~same & ~np.eye(len(rows), dtype=bool)
            loss, gradient = triplet_loss(matrix, training.vectors[rows], same, different, config.margin)
            velocity = _MOMENTUM * velocity + gradient + 2 * config.penalty * (matrix - identity)
            matrix = matrix - _RATE * velocity
            total += loss
        losses.append(total / steps)
        separations.append(validation.separation(matrix))
        if separations[-1] > target:
            best, best_epoch, target = matrix, epoch, separations[-1]
        elif epoch - best_epoch >= config.patience:
            break
    return FittedHead(best, best_epoch, losses, separations)


class _Validation:
    """The pairs of faces for early stopping. In each pair, at least one face shows a held-out person."""

    def __init__(self, faces: CodedFaces, held: Rows, rng: np.random.Generator) -> None:
        is_held = np.isin(faces.people, held)
        rows, others = (rng.permutation(np.nonzero(part)[0])[:_MOST_FACES_TO_STOP_BY] for part in (is_held, ~is_held))
        both = np.concatenate([rows, others])
        self.vectors = faces.vectors[both]
        self.held = len(rows)
        once = np.arange(self.held)[:, None] < np.arange(len(both))[None, :]
        same = faces.same(rows[:, None], both[None, :])
        self.same, self.different = same & once, ~same & once

    def separation(self, matrix: Float64s) -> float:
        """Return by how many standard deviations pairs of one person are more similar than pairs of two people.

        The result is the decidability index [1]_. The loss cannot be used to choose the epoch, because the loss changes
        if all distances grow. An error rate of few pairs is too coarse, because it changes only in steps. The result is
        0 if there are no pairs of one person, or no pairs of two people. In this case, all epochs are equally good.

        .. [1] J. Daugman, "The importance of being random: statistical principles of iris recognition", Pattern
           Recognition, 2003.
        """
        mapped = self.vectors @ matrix.T
        units = mapped / np.maximum(np.linalg.norm(mapped, axis=1, keepdims=True), 1e-12)
        similarity = units[: self.held] @ units.T
        same, different = similarity[self.same], similarity[self.different]
        if not len(same) or not len(different):
            return 0.0
        spread = math.sqrt((float(same.var()) + float(different.var())) / 2)
        return float(same.mean() - different.mean()) / max(spread, 1e-9)
