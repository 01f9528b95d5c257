"""Pair videos of one channel, and compare the two videos by views at a fixed age or by age-corrected views.

Only videos of one era are paired. An era is a time in which YouTube used one definition of a view.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Flags, Float64s, Rows
from thumblab_pipelines.dataset.ageing import views_at
from thumblab_pipelines.dataset.splits import MIXED, PARTS, TRAIN
from thumblab_pipelines.features.fixed_age import FIXED_AGES

if TYPE_CHECKING:
    import pandas as pd

AGE_CORRECTED = "age-corrected views"
"""The label of a pair that is compared by age-corrected views.

The label is used if there is no fixed age at which the views of both videos are known.
"""

TRAIN_PAIRS_PER_VIDEO = 20
TRAIN_PAIRS_PER_CHANNEL = 10_000
"""Maximum number of training pairs of a channel. A second limit is `TRAIN_PAIRS_PER_VIDEO` for each of its videos.

Without these two limits, large channels would dominate the training.

The number of possible pairs grows with the square of the number of videos, but the information in the pairs grows more
slowly.
"""

HELD_OUT_PAIRS_PER_CHANNEL = 20_000
_SEED = 20_251_011
_SECONDS_PER_DAY = 86_400

COLUMNS = ("winner", "loser", "channel_id", "part", "label", "margin")


def fixed_age_label(age: int) -> str:
    """Return the label of pairs that are compared by their views at the fixed age `age`, in hours."""
    return f"views at {age} h"


class ComparableViews:
    """The views of n videos, read once from the corpus. `compare` compares the videos of pairs by these views."""

    def __init__(self, corpus: pd.DataFrame) -> None:
        ages = [age for age in sorted(FIXED_AGES) if views_at(age) in corpus]
        self.labels = [AGE_CORRECTED, *(fixed_age_label(age) for age in ages)]
        self._corrected = np.exp(corpus.target.to_numpy(float))
        self._at_ages = [corpus[views_at(age)].to_numpy(float) for age in ages]

    def compare(self, first: Rows, second: Rows) -> tuple[Rows, Float64s, Float64s]:
        """Return for each pair [m] the number of its label, the views of its first video, and the views of its second
        video.

        `first` [m] and `second` [m]: row numbers of the videos in the corpus. The label says which views are compared.
        Its number is its position in `labels`. Views at a fixed age are preferred, because they need no assumption
        about growth. If both views are known at several fixed ages, the largest age is used. If there is no fixed
        age at which both views are known, the age-corrected views exp(`target`) are compared.
        """
        label = np.zeros(len(first), np.intp)
        first_views, second_views = self._corrected[first], self._corrected[second]
        for number, views in enumerate(self._at_ages, 1):
            of_first, of_second = views[first], views[second]
            both = np.isfinite(of_first) & np.isfinite(of_second)
            label[both] = number
            first_views, second_views = np.where(both, of_first, first_views), np.where(both, of_second, second_views)
        return label, first_views, second_views


def pair_up(corpus: pd.DataFrame, days: float) -> pd.DataFrame:
    """Return the pairs of videos of one channel and one era, published at most `days` apart, with unequal views.

    The columns of the result are:

    - `winner` and `loser`: row numbers of the corpus
    - `channel_id`
    - `part`: the part of both videos, or "mixed" if they are in different parts
    - `label`: see `ComparableViews`
    - `margin`: 1 - loser's views / winner's views, computed from the views to which the label refers

    `channel_id`, `part` and `label` are categorical: millions of pairs have few different values.

    A channel gives at most 20 training pairs per video, and at most 10,000 training pairs in total. A channel gives at
    most 20,000 pairs in each other part, and at most 20,000 "mixed" pairs. If there are more pairs, a random sample is
    taken, which is the same in every run. A corpus without the column `era` counts as one era.
    """
    import pandas as pd

    random = np.random.default_rng(_SEED)
    published = pd.to_datetime(corpus.published_at, utc=True).to_numpy("datetime64[s]").astype(np.int64)
    parts = corpus.part.to_numpy(object)
    parts_of_pairs = (*PARTS, MIXED)
    number_of_part = {name: number for number, name in enumerate(parts_of_pairs)}
    part_of_video = np.array([number_of_part[part] for part in parts], np.intp)
    _, eras = np.unique(corpus.era.to_numpy(str) if "era" in corpus else np.zeros(len(corpus)), return_inverse=True)
    comparable, channels = ComparableViews(corpus), _rows_by_channel(corpus)
    chosen_pairs: list[tuple[npt.NDArray[Any], ...]] = [(np.zeros(0, np.intp),) * 5 + (np.zeros(0),)]
    for channel, (_, rows) in enumerate(channels):
        first, second = (rows[side] for side in near_in_time(published[rows], days * _SECONDS_PER_DAY))
        same_era = eras[first] == eras[second]
        first, second = first[same_era], second[same_era]
        label, first_views, second_views = comparable.compare(first, second)
        part = np.where(part_of_video[first] == part_of_video[second], part_of_video[first], number_of_part[MIXED])
        for number, name in enumerate(parts_of_pairs):
            candidates = (part == number) & (first_views != second_views)
            chosen = _sample(random, candidates, _most_pairs(name, len(rows)))
            a, b, a_views, b_views = first[chosen], second[chosen], first_views[chosen], second_views[chosen]
            ahead = a_views > b_views
            of_all = (np.full(len(chosen), channel), np.full(len(chosen), number), label[chosen])
            margin = 1.0 - np.minimum(a_views, b_views) / np.maximum(a_views, b_views)
            chosen_pairs.append((np.where(ahead, a, b), np.where(ahead, b, a), *of_all, margin))
    winner, loser, channel_codes, part_codes, label_codes, margins = map(
        np.concatenate, zip(*chosen_pairs, strict=True)
    )
    return pd.DataFrame(
        {
            "winner": winner,
            "loser": loser,
            "channel_id": _categories(channel_codes, [name for name, _ in channels]),
            "part": _categories(part_codes, parts_of_pairs),
            "label": _categories(label_codes, comparable.labels),
            "margin": margins,
        }
    )


def _categories(codes: Rows, names: Sequence[str]) -> Any:
    import pandas as pd

    return pd.Categorical.from_codes(codes, pd.Index(list(names))).remove_unused_categories()


def near_in_time(published: npt.NDArray[np.int64], within: float) -> tuple[Rows, Rows]:
    """Find all pairs of moments that are at most `within` apart.

    `published` [n] are the moments, in the unit of `within`. Return for each of the m pairs the row of its earlier
    moment [m] and the row of its later moment [m].

    A channel of 20,000 videos has 200 million pairs of videos, and the two videos of most pairs are years apart. So the
    moments are sorted first, and moments that are farther apart than `within` are never compared.
    """
    order = np.argsort(published, kind="stable")
    moments = published[order]
    after = np.searchsorted(moments, moments + within, side="right") - np.arange(1, len(moments) + 1)
    earlier = np.repeat(np.arange(len(moments)), after)
    later = earlier + 1 + np.arange(len(earlier)) - np.repeat(np.cumsum(after) - after, after)
    return order[earlier], order[later]


def _most_pairs(part: str, videos: int) -> int:
    """Return the maximum number of pairs in `part` for a channel that has `videos` videos."""
    if part == TRAIN:
        return min(TRAIN_PAIRS_PER_CHANNEL, TRAIN_PAIRS_PER_VIDEO * videos)
    return HELD_OUT_PAIRS_PER_CHANNEL


def _sample(random: np.random.Generator, candidates: Flags, most: int) -> Rows:
    """Return the positions at which `candidates` is true, in ascending order.

    If there are more than `most` such positions, return a random sample of `most` of them.
    """
    places = np.flatnonzero(candidates)
    return np.sort(random.choice(places, most, replace=False)) if len(places) > most else places


def _rows_by_channel(corpus: pd.DataFrame) -> list[tuple[str, Rows]]:
    channels, place = np.unique(corpus.channel_id.to_numpy(str), return_inverse=True)
    order = np.argsort(place, kind="stable")
    rows = np.split(order, np.cumsum(np.bincount(place, minlength=len(channels)))[:-1])
    return list(zip(map(str, channels), rows, strict=False))
