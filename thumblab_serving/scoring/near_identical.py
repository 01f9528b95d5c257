"""Find candidates that are near-identical, and count each group of them as one candidate."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from thumblab_core.images.perceptual import NEAR, distance
from thumblab_serving.scoring.intake import ExaminedPicture

_LARGEST_THRESHOLD = 1 - 1e-6
"""Maximum threshold for the cosine of two vectors. A larger threshold of an encoder is lowered to this number.

An encoder may have the threshold 1. But rounding may make the cosine of two equal vectors a little smaller than 1.
"""

_LEAST_LETTERS = 5
"""Minimum number of letters of a word in which one wrong character counts as a reading error.

One character makes many shorter words into other words: "new" and "now", "do" and "no".
"""


def group_near_identical(
    pictures: Mapping[str, ExaminedPicture], encoder: str, threshold: float
) -> list[tuple[str, ...]]:
    """Return the groups of near-identical pictures, by id. Groups and members have the order of the request.

    Two pictures are near-identical if all of these hold: the cosine of their vectors is at least `threshold`, their
    perceptual hashes differ in at most `NEAR` bits, and the same words were read in both. Words are compared too,
    because vectors and hashes hardly change when one word of a picture is replaced. If the first picture is
    near-identical to the second, and the second to the third, all three are in one group.

    `encoder` is the fingerprint of the encoder of the vectors.
    """
    names = list(pictures)
    threshold = min(threshold, _LARGEST_THRESHOLD)
    group_of = list(range(len(names)))
    for first, second in combinations(range(len(names)), 2):
        a, b = pictures[names[first]], pictures[names[second]]
        if distance(a.perceptual_hash, b.perceptual_hash) > NEAR or not _same_words(a, b):
            continue
        if float(np.dot(a.vectors[encoder], b.vectors[encoder])) >= threshold:
            joined = group_of[second]
            group_of = [group_of[first] if group == joined else group for group in group_of]
    groups = [
        tuple(name for name, of in zip(names, group_of, strict=True) if of == group)
        for group in dict.fromkeys(group_of)
    ]
    return [members for members in groups if len(members) > 1]


def _same_words(first: ExaminedPicture, second: ExaminedPicture) -> bool:
    """Return whether the same words were read in two pictures, in the same order, apart from reading errors.

    Upper and lower case are the same. If no words were read in the two pictures, for example because the text reader is
    not installed, the result is True.
    """
    one, other = ((picture.measurement.evidence.words or "").casefold().split() for picture in (first, second))
    return len(one) == len(other) and all(map(_same_word, one, other))


def _same_word(first: str, second: str) -> bool:
    """Return whether two words are equal, or may be two readings of one word.

    Two words may be readings of one word if both consist of letters only, have at least `_LEAST_LETTERS` of them, and
    differ in one character that was replaced, added or left out. A changed digit makes another number, so a word with a
    digit is never taken for a reading of another one.
    """
    if first == second:
        return True
    if not (first.isalpha() and second.isalpha()) or min(len(first), len(second)) < _LEAST_LETTERS:
        return False
    pairs = enumerate(zip(first, second, strict=False))
    start = next((place for place, (one, other) in pairs if one != other), min(len(first), len(second)))
    rest, other_rest = first[start:], second[start:]
    return rest[1:] == other_rest[1:] or rest[1:] == other_rest or rest == other_rest[1:]


def count_groups_once(names: Sequence[str], groups: Sequence[Sequence[str]]) -> list[list[int]]:
    """Return the candidates after each group was merged into one candidate, in order of their first members.

    A candidate is the list of its members, as positions in `names`. A candidate that is in no group has one member.
    Members of a group that are not in `names` are left out.
    """
    group_of = {name: number for number, group in enumerate(groups) for name in group}
    members: dict[int | str, list[int]] = {}
    for position, name in enumerate(names):
        members.setdefault(group_of.get(name, name), []).append(position)
    return list(members.values())
