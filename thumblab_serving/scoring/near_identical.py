"""Find candidates that are near-identical, and count each group of them as one candidate."""

from collections.abc import Mapping, Sequence

import numpy as np

from thumblab_serving.scoring.intake import ExaminedPicture

_LARGEST_THRESHOLD = 1 - 1e-6
"""Maximum threshold for the cosine of two vectors. A larger threshold of an encoder is lowered to this number.

An encoder may have the threshold 1, but rounding may make the cosine of two equal vectors a little smaller than 1.
"""


def group_near_identical(
    pictures: Mapping[str, ExaminedPicture], encoder: str, threshold: float
) -> list[tuple[str, ...]]:
    """Return the groups of near-identical pictures, by id. Groups and members have the order of the request.

    Two pictures are near-identical if three conditions hold: the cosine of their vectors is at least `threshold`, the
    pictures look alike (`Appearance.is_near`), and the same words were read in both pictures. Words are compared too,
    because vectors and hashes hardly change when one word of a picture is replaced.

    All members of a group are near-identical to each other. A picture joins the first group that it fits into.

    `encoder` is the fingerprint of the encoder of the vectors.
    """
    threshold = min(threshold, _LARGEST_THRESHOLD)
    groups: list[list[str]] = []
    for name, picture in pictures.items():
        fitting = (
            group
            for group in groups
            if all(_near_identical(picture, pictures[member], encoder, threshold) for member in group)
        )
        found = next(fitting, None)
        if found is None:
            groups.append([name])
        else:
            found.append(name)
    return [tuple(group) for group in groups if len(group) > 1]


def split_by_title(groups: Sequence[Sequence[str]], titles: Mapping[str, str]) -> list[tuple[str, ...]]:
    """Return the groups, each split into parts with the same title. `titles` has the title of each picture.

    Two near-identical pictures with different titles are two packages, which may win or lose against each other.
    """
    split: list[tuple[str, ...]] = []
    for group in groups:
        by_title: dict[str, list[str]] = {}
        for name in group:
            by_title.setdefault(titles[name], []).append(name)
        split += [tuple(members) for members in by_title.values() if len(members) > 1]
    return split


def _near_identical(first: ExaminedPicture, second: ExaminedPicture, encoder: str, threshold: float) -> bool:
    if not first.appearance.is_near(second.appearance) or not _same_words(first, second):
        return False
    return float(np.dot(first.vectors[encoder], second.vectors[encoder])) >= threshold


def _same_words(first: ExaminedPicture, second: ExaminedPicture) -> bool:
    """Return whether two pictures show the same words, in the same order. Upper and lower case count as equal.

    If different words were read, the text reader may have misread one picture. In this case, the result is True if the
    pictures have nearly the same colours in every cell of a grid (see `Appearance.has_colours_of`). If no words were
    read in either picture, for example because the text reader is not installed, the result is True.
    """
    one, other = ((picture.measurement.evidence.words or "").casefold().split() for picture in (first, second))
    return one == other or first.appearance.has_colours_of(second.appearance)


def count_groups_once(names: Sequence[str], groups: Sequence[Sequence[str]]) -> list[list[int]]:
    """Merge each group into one candidate, and return all candidates in the order of their first members.

    A candidate is a list of its members. Each member is a position in `names`. A candidate that is not a group has one
    member. Members of a group that are not in `names` are left out.
    """
    group_of = {name: number for number, group in enumerate(groups) for name in group}
    members: dict[int | str, list[int]] = {}
    for position, name in enumerate(names):
        members.setdefault(group_of.get(name, name), []).append(position)
    return list(members.values())
