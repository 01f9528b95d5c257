"""Define the input for training a matching head: face vectors, and the person of each face."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thumblab_core.arrays import Flags, Float32s, Float64s, Rows
from thumblab_core.errors import LabError

LEAST_PEOPLE = 5
"""Minimum number of people for a training. Fewer people cannot be divided into people for training and people for
evaluation."""


class TooFewPeopleError(LabError):
    """Raised if too few people have enough labelled faces for a training."""


@dataclass(frozen=True)
class LabelledFaces:
    """n labelled faces. Raises `LabError` for arrays that do not fit together, and for invalid vectors.

    `vectors`: from one embedder, float32 [n, d]. `faces` [n]: ids of the faces. `people` [n]: cluster keys of the
    people. `pictures` [n]: keys of the pictures that show the faces. Two faces in one picture always count as two
    people.
    """

    vectors: Float32s
    faces: Sequence[str]
    people: Sequence[str]
    pictures: Sequence[str]

    def __post_init__(self) -> None:
        shape = self.vectors.shape
        if len(shape) != 2 or not shape[1] or {len(self.faces), len(self.people), len(self.pictures)} != {shape[0]}:
            raise LabError(
                f"the face vectors have the shape {list(shape)}, for {len(self.faces)} faces, {len(self.people)} people "
                f"and {len(self.pictures)} pictures; give one vector, person and picture for each face"
            )
        if len(set(self.faces)) < len(self.faces):
            raise LabError("a face is given twice; give each face once")
        lengths = np.linalg.norm(self.vectors.astype(np.float64), axis=1)
        bad = np.nonzero(~np.isfinite(lengths) | (lengths < 1e-9))[0]
        if len(bad):
            raise LabError(f"the vectors of {len(bad)} faces are zero or not finite; embed these faces again")

    def with_enough(self, min_faces: int) -> LabelledFaces:
        """Return the faces of the people with at least `min_faces` faces, in the order of the ids of the faces.

        So a training does not depend on the order in which the faces were read. Raises `LabError` if fewer than five
        people have enough faces.
        """
        count = Counter(self.people)
        enough = {person for person, faces in count.items() if faces >= min_faces}
        if len(enough) < LEAST_PEOPLE:
            fewer = sorted((faces for faces in count.values() if faces < min_faces), reverse=True)
            closest = f"; the largest of {len(fewer)} others have {', '.join(map(str, fewer[:5]))}" if fewer else ""
            raise TooFewPeopleError(
                f"training needs {LEAST_PEOPLE} people with at least {min_faces} labelled faces each, and there are "
                f"{len(enough)}{closest}. Label more faces or people, or lower min_faces"
            )
        rows = sorted(
            (row for row, person in enumerate(self.people) if person in enough), key=lambda row: self.faces[row]
        )
        return LabelledFaces(
            self.vectors[rows],
            *([values[row] for row in rows] for values in (self.faces, self.people, self.pictures)),
        )

    def coded(self) -> CodedFaces:
        """Return the faces with unit vectors. Each person and each picture has a number instead of a key."""
        vectors = self.vectors.astype(np.float64)
        return CodedFaces(
            vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
            *(np.unique(np.asarray(keys), return_inverse=True)[1] for keys in (self.people, self.pictures)),
        )


@dataclass(frozen=True)
class CodedFaces:
    """n faces. `vectors`, float64 [n, d], are unit vectors.

    `people` [n]: a number that stands for the person of each face. `pictures` [n]: a number that stands for the picture
    of each face.
    """

    vectors: Float64s
    people: Rows
    pictures: Rows

    def of(self, people: Rows) -> CodedFaces:
        """Return only the faces of these people."""
        rows = np.nonzero(np.isin(self.people, people))[0]
        return self.rows(rows)

    def rows(self, rows: Rows) -> CodedFaces:
        """Return only the faces in `rows` [m]."""
        return CodedFaces(self.vectors[rows], self.people[rows], self.pictures[rows])

    def same(self, first: Rows, second: Rows) -> Flags:
        """Return whether each pair of faces shows one person. Two faces of one picture count as two people.

        `first` and `second`: arrays of rows whose shapes can be broadcast (NumPy).
        """
        one_person = self.people[first] == self.people[second]
        return np.asarray(one_person & (self.pictures[first] != self.pictures[second]))

    def sampled(self, most: int, rng: np.random.Generator) -> CodedFaces:
        """Return at most `most` faces of each person, drawn at random."""
        order = rng.permutation(len(self.people))
        by_person = order[np.argsort(self.people[order], kind="stable")]
        ordered = self.people[by_person]
        place = np.arange(len(ordered)) - np.searchsorted(ordered, ordered)
        return self.rows(np.sort(by_person[place < most]))
