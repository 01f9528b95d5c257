"""The local trend of a channel: what its videos of the time have got. A video is judged by how far it is above it."""

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Float64s

_CELLS = 4_000_000
"""Of a block of distances, so that a channel of 20,000 videos takes megabytes."""


def local_trend(
    channel: npt.ArrayLike,
    published_days: npt.ArrayLike,
    target: npt.ArrayLike,
    known: npt.ArrayLike,
    days: float = 30.0,
) -> Float64s:
    """Float64 [n]: the mean target of the channel's known videos, weighted by exp(-|days between| / `days`).

    `channel`, `published_days` and `target` [n], `known` bool [n]: nothing but the target of known rows is looked at. A
    known row is left out of its own trend; where it is the only one of its channel, its trend is its target, so that it has
    nothing to teach. Rows of a channel without known rows get 0.
    """
    _, place = np.unique(np.asarray(channel), return_inverse=True)
    published, targets = np.asarray(published_days, np.float64), np.asarray(target, np.float64)
    is_known = np.asarray(known, bool)
    trend = np.zeros(len(targets))
    order = np.argsort(place, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(place[order])) + 1):
        seen = rows[is_known[rows]]
        if not len(seen):
            continue
        for block in np.array_split(rows, -(-len(rows) * len(seen) // _CELLS)):
            trend[block] = _kernel_mean(block, seen, published, targets, days)
        if len(seen) == 1:
            trend[seen] = targets[seen]
    return trend


def _kernel_mean(
    rows: npt.NDArray[np.intp], seen: npt.NDArray[np.intp], published: Float64s, target: Float64s, days: float
) -> Float64s:
    distance = np.abs(published[rows, None] - published[seen]) / days
    distance[rows[:, None] == seen] = np.inf
    # By the nearest: what is far from all of them has weights that would vanish together.
    nearest = distance.min(axis=1, keepdims=True)
    weight = np.exp(np.where(np.isfinite(nearest), nearest, 0.0) - distance)
    total = weight.sum(axis=1)
    return np.asarray((weight @ target[seen]) / np.where(total > 0, total, 1.0), np.float64)
