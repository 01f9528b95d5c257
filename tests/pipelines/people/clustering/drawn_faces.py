"""Make small random sets of faces, with all kinds of changes that a person can make to clusters of faces."""

from dataclasses import replace

import numpy as np

from thumblab_core.arrays import Float32s, Rows
from thumblab_core.recognition.match_scores import Calibration
from thumblab_pipelines.people.clustering.faces import NONE, Faces

CALIBRATION = Calibration("dimension", 0.0, 0.18, 0, 0, 32)
"""A calibration for vectors of 32 numbers. The standard deviation of random vectors' cosines is 1 / sqrt(32) = 0.18."""


def unit(vectors: np.ndarray) -> Float32s:
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def people_of(
    random: np.random.Generator, sizes: list[int], noise: float = 0.6, dimension: int = 32
) -> tuple[Faces, Rows]:
    """Return faces of good quality, and for each face the number of the person. Person i has `sizes[i]` faces.

    Each face is in a picture of its own.
    """
    person = np.repeat(np.arange(len(sizes)), sizes)
    centres = unit(random.standard_normal((len(sizes), dimension)))
    vectors = unit(centres[person] + noise * unit(random.standard_normal((len(person), dimension))))
    return faces_of(vectors), person


def faces_of(vectors: Float32s) -> Faces:
    count = len(vectors)
    return Faces(vectors, np.arange(count), np.ones(count), np.full(count, NONE))


def messy_faces(seed: int, count: int, said: bool = True) -> Faces:
    """Return faces in pictures that often show several faces. The quality of some faces is bad.

    If `said` is true, the faces have random previous clusters, and random changes by a person: names, pins and bans. A
    pin keeps a face in a cluster, and a ban keeps a face out of a cluster. The changes have no relation to the vectors,
    so clustering these faces is harder than clustering the faces of a real lab. The changes do not contradict each
    other.
    """
    random = np.random.default_rng(seed)
    centres = unit(random.standard_normal((5, 12)))
    vectors = unit(
        centres[random.integers(0, 5, count)] + random.choice([0.3, 0.9]) * unit(random.standard_normal((count, 12)))
    )
    pictures = random.integers(0, max(1, count // 2), count)
    faces = replace(faces_of(vectors), pictures=pictures, quality=random.uniform(0.1, 1, count))
    if not said:
        return faces
    previous = _one_a_picture(np.where(random.random(count) < 0.5, random.integers(0, 5, count), NONE), pictures)
    pinned = _one_a_picture(np.where(random.random(count) < 0.2, random.integers(2, 7, count), NONE), pictures)
    # In a lab, a person can do both: pin one face to a cluster, and take another face of the same picture out of this
    # cluster.
    bans = np.column_stack([random.integers(0, count, count // 3), random.integers(0, 7, count // 3)])
    bans = bans[pinned[bans[:, 0]] != bans[:, 1]]
    named = random.choice(8, random.integers(0, 4), replace=False)
    return replace(faces, previous=previous, pinned=pinned, banned=np.unique(bans, axis=0), named=named)


def _one_a_picture(clusters: Rows, pictures: Rows) -> Rows:
    """If several faces of a picture are in one cluster, keep only one of these faces in the cluster."""
    kept = np.full(len(clusters), NONE, np.intp)
    inside = np.flatnonzero(clusters >= 0)
    first = np.unique(np.column_stack([pictures, clusters])[inside], axis=0, return_index=True)[1]
    kept[inside[first]] = clusters[inside[first]]
    return kept


def partition(clusters: Rows) -> set[frozenset[int]]:
    """Return each cluster as a set of its faces' row numbers. The numbers of the clusters themselves are left out."""
    return {frozenset(np.flatnonzero(clusters == code).tolist()) for code in set(clusters.tolist()) - {NONE}}
