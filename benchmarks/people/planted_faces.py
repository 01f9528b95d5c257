"""Make random face vectors of known people. Some pictures show several people."""

import numpy as np

from thumblab_core.arrays import Rows
from thumblab_pipelines.people.clustering.faces import NONE, Faces

_POSES = 4


def planted_faces(
    count: int, people: int, dimension: int = 128, strangers: float = 0.1, seed: int = 0
) -> tuple[Faces, Rows]:
    """Return `count` faces, and the person of each face [n]. Strangers, who are seen once, have the person -1.

    The vectors vary as much as the vectors of a small network on real crops. Two faces of one person have a mean cosine
    from 0.35 to 0.7, which differs between people. A person has several poses, and faces in the same pose are more
    alike. Some people look alike. A few people have many faces, and most people have few. About a third of the faces
    are in pictures of two or three people. 10 % of the faces are bad: they are noisy, and their quality is low.
    """
    random = np.random.default_rng(seed)
    alone = round(count * strangers)
    weights = 1 / (20 + np.arange(people)) ** 0.8
    sizes = np.maximum(5, np.floor((count - alone) * weights / weights.sum()).astype(np.intp))
    sizes[0] += count - alone - sizes.sum()
    person = np.repeat(np.arange(people), sizes)
    # The people are divided into pairs, and each pair has a common direction. Most people follow the direction of their
    # pair a little. 2 % of the people follow this direction more, as relatives look alike.
    families = random.standard_normal((people // 2 + 1, dimension))
    alike = np.where(random.random(people) < 0.02, 0.35, 0.1)[:, None]
    centres = _unit(
        np.sqrt(1 - alike) * random.standard_normal((people, dimension))
        + np.sqrt(alike) * families[np.arange(people) // 2]
    )
    cohesion = random.uniform(0.35, 0.7, people)[person]
    poses = _unit(random.standard_normal((people, _POSES, dimension)))
    pose = poses[person, random.integers(0, _POSES, len(person))]
    noise = _unit(random.standard_normal((len(person), dimension)))
    bad = random.random(count) < 0.1
    rest = 1 - cohesion
    own = (
        np.sqrt(cohesion)[:, None] * centres[person]
        + np.sqrt(0.25 * rest)[:, None] * pose
        + np.sqrt(0.75 * rest)[:, None] * noise
    )
    common = _unit(random.standard_normal(dimension))
    vectors = np.vstack([own, _unit(random.standard_normal((alone, dimension)))])
    vectors += 0.7 * bad[:, None] * _unit(random.standard_normal((count, dimension))) + 0.17 * common
    order = random.permutation(count)
    person = np.concatenate([person, np.full(alone, NONE)])[order].astype(np.intp)
    quality = np.where(bad, 0.2, random.uniform(0.5, 1.0, count))[order]
    faces = Faces(_unit(vectors[order]).astype(np.float32), _pictures(random, person), quality, np.full(count, NONE))
    return faces, person


def _pictures(random: np.random.Generator, person: Rows) -> Rows:
    """Put a third of the faces into pictures with two or three people. No picture shows a person twice."""
    pictures = np.arange(len(person))
    rows = np.flatnonzero(random.random(len(person)) < 1 / 3)
    for start in range(0, len(rows) - 2, 3):
        together = rows[start : start + random.integers(2, 4)]
        if len(np.unique(person[together])) == len(together):
            pictures[together] = pictures[together[0]]
    return pictures


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
