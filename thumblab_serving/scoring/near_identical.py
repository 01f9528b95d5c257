"""Find candidates that are near-identical, and count each group of them as one candidate."""

from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from itertools import combinations

import numpy as np

from thumblab_core.images.perceptual import NEAR, distance
from thumblab_serving.scoring.intake import ExaminedPicture

_LARGEST_THRESHOLD = 1 - 1e-6
"""Maximum threshold that is used.

An encoder may have the threshold 1. But rounding may make the cosine of two equal vectors a little smaller than 1.
"""

_SAME_WORDS = 0.85
"""Smallest share of equal characters (`SequenceMatcher.ratio`) at which two texts count as two readings of one text.

A text of fourteen letters in which two were misread has 0.86, so it counts as the same text. "free phone" and "new
phone" have 0.74.
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
    """Return whether the same words were read in two pictures, apart from reading errors.

    The result is True if no words were read in either picture, for example because the text reader is not installed.
    """
    words = [(picture.measurement.evidence.words or "").casefold() for picture in (first, second)]
    return words[0] == words[1] or SequenceMatcher(None, words[0], words[1], autojunk=False).ratio() >= _SAME_WORDS


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
