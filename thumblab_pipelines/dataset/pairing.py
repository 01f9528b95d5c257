"""Pair videos of one channel, and compare the two videos by views at a fixed age or by age-corrected views.

Only videos of one era are paired. An era is a time in which YouTube used one definition of a view.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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
"""Maximum number of training pairs of a channel. A second limit is `TRAIN_PAIRS_PER_VIDEO` times its number of videos.

Without both limits, large channels would dominate the training.

The number of possible pairs grows with the square of the number of videos, but the information in the pairs grows more
slowly.
"""

HELD_OUT_PAIRS_PER_CHANNEL = 20_000
_SEED = 20_251_011
_SECONDS_PER_DAY = 86_400

COLUMNS = ("winner", "loser", "channel_id", "part", "label", "margin")


def fixed_age_label(age: int) -> str:
    """Return the label of a pair that is compared by views at a fixed age in hours."""
    return f"views at {age} h"


def compare_views(
    corpus: pd.DataFrame, first: Rows, second: Rows
) -> tuple[npt.NDArray[np.object_], Float64s, Float64s]:
    """Return for each pair [m] its label, the views of its first video, and the views of its second video.

    `first` [m] and `second` [m]: rows of the corpus. The label says which views are compared. Views at a fixed age are
    preferred, because they need no assumption about growth. If both views are known at several fixed ages, the largest
    age is used. If both views are known at no fixed age, the age-corrected views exp(`target`) are compared.
    """
    label = np.full(len(first), AGE_CORRECTED, object)
    corrected = np.exp(corpus.target.to_numpy(float))
    first_views, second_views = corrected[first], corrected[second]
    for age in sorted(FIXED_AGES):
        if views_at(age) not in corpus:
            continue
        views = corpus[views_at(age)].to_numpy(float)
        both = np.isfinite(views[first]) & np.isfinite(views[second])
        label[both] = fixed_age_label(age)
        first_views = np.where(both, views[first], first_views)
        second_views = np.where(both, views[second], second_views)
    return label, first_views, second_views


def pair_up(corpus: pd.DataFrame, days: float) -> pd.DataFrame:
    """Return the pairs of videos of one channel and one era, published at most `days` apart, with unequal views.

    The columns of the result are:

    - `winner` and `loser`: row numbers of the corpus
    - `channel_id`
    - `part`: the part of both videos, or "mixed" if they are in different parts
    - `label`: see `compare_views`
    - `margin`: 1 - loser's views / winner's views, with the views that the label names

    A channel gives at most 20 training pairs per video, and at most 10,000 training pairs in total. A channel gives at
    most 20,000 pairs in each other part, and at most 20,000 "mixed" pairs. If there are more pairs, a random sample is
    taken, which is the same in every run. A corpus without the column `era` counts as one era.
    """
    import pandas as pd

    random = np.random.default_rng(_SEED)
    published = pd.to_datetime(corpus.published_at, utc=True).to_numpy("datetime64[s]").astype(np.int64)
    parts = corpus.part.to_numpy(object)
    eras = corpus.era.to_numpy(object) if "era" in corpus else np.full(len(corpus), "", object)
    tables = []
    for channel, rows in _rows_by_channel(corpus):
        first, second = (rows[side] for side in near_in_time(published[rows], days * _SECONDS_PER_DAY))
        same_era = eras[first] == eras[second]
        first, second = first[same_era], second[same_era]
        label, first_views, second_views = compare_views(corpus, first, second)
        part = np.where(parts[first] == parts[second], parts[first], MIXED)
        for name in (*PARTS, MIXED):
            candidates = (part == name) & (first_views != second_views)
            chosen = _sample(random, candidates, _most_pairs(name, len(rows)))
            a, b = first[chosen], second[chosen]
            a_views, b_views = first_views[chosen], second_views[chosen]
            tables.append(
                pd.DataFrame(
                    {
                        "winner": np.where(a_views > b_views, a, b),
                        "loser": np.where(a_views > b_views, b, a),
                        "channel_id": channel,
                        "part": name,
                        "label": label[chosen],
                        "margin": 1.0 - np.minimum(a_views, b_views) / np.maximum(a_views, b_views),
                    }
                )
            )
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(COLUMNS))


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
    return [(str(channel), np.flatnonzero(place == number)) for number, channel in enumerate(channels)]
