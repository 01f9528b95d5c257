"""Make face vectors of invented people. One direction of the vectors stands for the light in a picture, not for a
person.
"""

import numpy as np

from thumblab_core.arrays import Float64s
from thumblab_pipelines.people.matching.labelled_faces import LabelledFaces

EMBEDDER = "face-planted"


def unit(vectors: Float64s) -> Float64s:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def planted_vectors(
    people: int, each: int, lighting: float = 1.5, dimension: int = 64, seed: int = 1
) -> tuple[Float64s, list[int]]:
    """Return the unit vectors of `each` faces for each of `people` people, and for each vector the number of its
    person.

    A vector is the sum of the centre of its person, noise, and a random multiple of one direction that all people
    share. This direction stands for the light in which a picture is taken. The direction is the same for every seed.
    """
    rng = np.random.default_rng(seed)
    centres = unit(rng.normal(size=(people, dimension)))
    light = unit(np.random.default_rng(99).normal(size=(1, dimension)))
    person = np.repeat(np.arange(people), each)
    noise = 0.5 * unit(rng.normal(size=(len(person), dimension)))
    return unit(centres[person] + noise + lighting * rng.normal(size=(len(person), 1)) * light), person.tolist()


def labelled(vectors: Float64s, person: list[int], pictures: list[str] | None = None) -> LabelledFaces:
    """Return labelled faces whose ids, keys and pictures look like those of a lab.

    By default, each face has its own picture.
    """
    count = range(len(person))
    return LabelledFaces(
        np.asarray(vectors, np.float32),
        [f"faceid{row:05}" for row in count],
        [f"key{number:09}" for number in person],
        pictures or [f"picture{row}" for row in count],
    )


def planted(people: int = 8, each: int = 12, lighting: float = 1.5, seed: int = 1) -> LabelledFaces:
    return labelled(*planted_vectors(people, each, lighting, seed=seed))
