"""Score each pair of faces with a face head (see `fitting`) that was trained on neither person of the pair.

The people are split into five folds. For each pair of folds, a head is trained on the people of the three remaining
folds. The head judges (scores) the pairs of faces in the two left-out folds. So faces of every two people are compared
by a head. If only one fold were left out at a time, a head would compare only people of the same fold.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import fields, replace
from functools import partial

import numpy as np

from thumblab_core.arrays import Float64s, Rows
from thumblab_pipelines.people.matching.fitting import HeadConfig, fit_head
from thumblab_pipelines.people.matching.labelled_faces import CodedFaces
from thumblab_pipelines.people.matching.verification import JudgedPairs

FOLDS = 5

HEADS = math.comb(FOLDS, 2)
"""Number of heads of a cross-fitting."""

_MOST_FACES = 40
"""Maximum number of judged faces of each person. The number of pairs of a person grows with the square of this
number."""

_ALL_FACES = 4_000
"""Approximate maximum number of faces that are judged in total. But at least 4 faces of each person are judged."""

_MOST_PAIRS = 6_000
"""One head judges at most this number of pairs of each kind. If there are more pairs, a random sample is judged."""


def cross_fit(
    faces: CodedFaces, config: HeadConfig, before_epoch: Callable[[int, int], None] = lambda head, epoch: None
) -> JudgedPairs:
    """Train ten heads, and return the pairs that they judge. There must be at least five people.

    `before_epoch` is called with the number of trained heads, and the number of finished epochs of the next head.
    """
    rng = np.random.default_rng(config.seed)
    people = rng.permutation(np.unique(faces.people))
    folds = np.array_split(people, FOLDS)
    fold_of = np.empty(int(people.max()) + 1, np.intp)
    for fold_number, fold in enumerate(folds):
        fold_of[fold] = fold_number
    judged = faces.sampled(max(4, min(_MOST_FACES, _ALL_FACES // len(people))), rng)
    parts = []
    for number, (first, second) in enumerate(itertools.combinations(range(FOLDS), 2)):
        held = np.concatenate([folds[first], folds[second]])
        training = faces.of(np.setdiff1d(people, held))
        head = fit_head(training, config, int(rng.integers(2**32)), partial(before_epoch, number)).matrix
        pairs = judge(judged.of(held), head, rng)
        # Four heads judge a pair within one fold: the heads that leave out this fold and one of the four other folds.
        # So each of the four scores has a quarter of the weight.
        within = fold_of[pairs.first] == fold_of[pairs.second]
        parts.append(replace(pairs, weight=np.where(within, 1 / (FOLDS - 1), 1.0)))
    return JudgedPairs(
        **{field.name: np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(JudgedPairs)}
    )


def judge(faces: CodedFaces, head: Float64s, rng: np.random.Generator) -> JudgedPairs:
    """Score the pairs of faces without the head and with the head. Each pair has the weight 1.

    At most 6,000 pairs of one person and 6,000 pairs of two people are scored. If there are more pairs, they are drawn
    at random.
    """
    first, second = np.triu_indices(len(faces.people), 1)
    same = faces.same(first, second)
    rows = np.sort(np.concatenate([_some(np.nonzero(kind)[0], rng) for kind in (same, ~same)]))
    first, second, same = first[rows], second[rows], same[rows]
    mapped = faces.vectors @ head.T
    mapped /= np.linalg.norm(mapped, axis=1, keepdims=True)
    before, after = (np.einsum("ij,ij->i", vectors[first], vectors[second]) for vectors in (faces.vectors, mapped))
    return JudgedPairs(faces.people[first], faces.people[second], same, before, after, np.ones(len(rows)))


def _some(rows: Rows, rng: np.random.Generator) -> Rows:
    return rows if len(rows) <= _MOST_PAIRS else rng.choice(rows, _MOST_PAIRS, replace=False)
