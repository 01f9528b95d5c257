"""Compare the cluster of each face with the true person of each face."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from thumblab_core.arrays import Rows


class Agreement(NamedTuple):
    """How well clusters agree with people, measured on all pairs of faces.

    Parameters
    ----------
    precision
        Of all pairs of faces in the same cluster, the share that shows the same person.
    recall
        Of all pairs of faces of the same person, the share that is in the same cluster.
    f
        The harmonic mean of precision and recall.
    impurity
        The impurity of the least pure cluster. The impurity of a cluster is the share of its faces that do not show its
        most frequent person.
    """

    precision: float
    recall: float
    f: float
    impurity: float


def agreement(clusters: Rows, people: Rows) -> Agreement:
    """Compare the cluster [n] and the person [n] of each face. A negative cluster means that the face is in no cluster.
    A negative person means that no other face shows the same person.
    """
    inside, known = clusters >= 0, people >= 0
    alone = len(people) + np.arange(len(people))
    person = np.where(known, np.unique(people, return_inverse=True)[1], alone)
    pairs, counts = np.unique(np.column_stack([clusters, person])[inside], axis=0, return_counts=True)
    both = _pairs(counts)
    together = _pairs(np.unique(clusters[inside], return_counts=True)[1])
    same = _pairs(np.unique(person, return_counts=True)[1])
    precision = both / together if together else 1.0
    recall = both / same if same else 1.0
    impurity = 0.0
    if len(pairs):
        number = np.unique(pairs[:, 0], return_inverse=True)[1]
        largest = np.zeros(int(number.max()) + 1)
        np.maximum.at(largest, number, counts)
        impurity = float((1 - largest / np.bincount(number, counts)).max())
    return Agreement(precision, recall, 2 * both / (together + same) if together + same else 1.0, impurity)


def _pairs(counts: Rows) -> int:
    return int((counts * (counts - 1) // 2).sum())
