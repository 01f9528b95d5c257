"""Pairs of videos of one channel and what labels them: views at the same fixed age, else age-corrected views."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Float64s, Rows
from thumblab_pipelines.dataset.ageing import views_at
from thumblab_pipelines.dataset.splits import MIXED, PARTS, TRAIN
from thumblab_pipelines.features.views_at_age import FIXED_AGES

if TYPE_CHECKING:
    import pandas as pd

AGE_CORRECTED = "age-corrected views"

TRAIN_PAIRS_PER_VIDEO = 20
TRAIN_PAIRS_PER_CHANNEL = 10_000
"""So that no channel dominates: pairs grow with the square of a channel's videos, what they tell does not."""

HELD_OUT_PAIRS_PER_CHANNEL = 20_000
_SEED = 20_251_011


COLUMNS = ("winner", "loser", "channel_id", "part", "label", "margin")


def fixed_age_label(age: int) -> str:
    """The label of a pair that views at a fixed age (hours) have decided."""
    return f"views at {age} h"


def compare(corpus: pd.DataFrame, first: Rows, second: Rows) -> tuple[npt.NDArray[np.object_], Float64s, Float64s]:
    """What each couple of rows is compared by: its label [m], and the views so counted of the first and the second [m].

    At the largest fixed age at which both are known, which is free of any assumption about growth; where there is none, the
    age-corrected views, exp(`target`).
    """
    label = np.full(len(first), AGE_CORRECTED, object)
    corrected = np.exp(corpus.target.to_numpy(float))
    one, other = corrected[first], corrected[second]
    for age in sorted(FIXED_AGES):
        if views_at(age) not in corpus:
            continue
        views = corpus[views_at(age)].to_numpy(float)
        both = np.isfinite(views[first]) & np.isfinite(views[second])
        label[both] = fixed_age_label(age)
        one, other = np.where(both, views[first], one), np.where(both, views[second], other)
    return label, one, other


def pair_up(corpus: pd.DataFrame, days: float) -> pd.DataFrame:
    """Pairs of one channel and one era of view counts, published at most `days` apart and unequal in what labels them.

    Columns: `winner` and `loser` (rows of the corpus), `channel_id`, `part` (of both; "mixed" where the two are of different
    parts: for judging whole channels only), `label` (see `compare`) and `margin` = 1 - loser/winner of what labelled the
    pair. A channel gives at most 20 training pairs per video and 10,000 in all, and 20,000 of each other part: where it has
    more, a random sample, always the same. A corpus without the column `era` is of one era.
    """
    import pandas as pd

    random = np.random.default_rng(_SEED)
    published = pd.to_datetime(corpus.published_at, utc=True).to_numpy("datetime64[s]").astype(np.int64)
    parts = corpus.part.to_numpy(object)
    eras = corpus.era.to_numpy(object) if "era" in corpus else np.full(len(corpus), "", object)
    found = []
    for channel, rows in _rows_by_channel(corpus):
        first, second = (rows[side] for side in near_in_time(published[rows], days * 86_400))
        of_one_era = eras[first] == eras[second]
        first, second = first[of_one_era], second[of_one_era]
        label, one, other = compare(corpus, first, second)
        part = np.where(parts[first] == parts[second], parts[first], MIXED)
        for name in (*PARTS, MIXED):
            chosen = np.flatnonzero((part == name) & (one != other))
            most = HELD_OUT_PAIRS_PER_CHANNEL
            if name == TRAIN:
                most = min(TRAIN_PAIRS_PER_CHANNEL, TRAIN_PAIRS_PER_VIDEO * len(rows))
            if len(chosen) > most:
                chosen = np.sort(random.choice(chosen, most, replace=False))
            a, b = first[chosen], second[chosen]
            ahead = one[chosen] > other[chosen]
            most_views, least_views = np.maximum(one, other)[chosen], np.minimum(one, other)[chosen]
            found.append(
                pd.DataFrame(
                    {
                        "winner": np.where(ahead, a, b),
                        "loser": np.where(ahead, b, a),
                        "channel_id": channel,
                        "part": name,
                        "label": label[chosen],
                        "margin": 1.0 - least_views / most_views,
                    }
                )
            )
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=list(COLUMNS))


def near_in_time(published: npt.NDArray[np.int64], within: float) -> tuple[Rows, Rows]:
    """All couples [m] of moments [n] that are at most `within` apart, the earlier one first.

    Only what is near is looked at: a channel of 20,000 videos has 200 million couples, and most are years apart.
    """
    order = np.argsort(published, kind="stable")
    moments = published[order]
    after = np.searchsorted(moments, moments + within, side="right") - np.arange(1, len(moments) + 1)
    earlier = np.repeat(np.arange(len(moments)), after)
    later = earlier + 1 + np.arange(len(earlier)) - np.repeat(np.cumsum(after) - after, after)
    return order[earlier], order[later]


def _rows_by_channel(corpus: pd.DataFrame) -> list[tuple[str, Rows]]:
    channels, place = np.unique(corpus.channel_id.to_numpy(str), return_inverse=True)
    return [(str(channel), np.flatnonzero(place == number)) for number, channel in enumerate(channels)]
