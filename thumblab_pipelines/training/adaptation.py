"""Fit channel adapters, for the channels of the training data and for channels that are added later."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Float32s, Float64s, Floats, Rows
from thumblab_core.ranking.adapters import Adapter, fit_adapter
from thumblab_pipelines.statistics.trend import local_trend

Standardise = Callable[[Float32s], Float32s]
"""Standardises inputs [n, d], see `Ranker.standardise`."""


@dataclass(frozen=True)
class ScoredVideos:
    """n videos as the global model sees them, each channel's in order of publication.

    `inputs` [n, d]; the model's `scores` [n] of them, in log views; `channel` [n]. `standardise` is applied to the
    inputs of one channel at a time, because the standardised inputs of a whole corpus take gigabytes.
    """

    inputs: Float32s
    scores: Floats
    channel: npt.NDArray[np.str_]
    standardise: Standardise = np.asarray


def above_trend(
    channel: npt.ArrayLike, published: npt.ArrayLike, target: npt.ArrayLike, known: npt.ArrayLike
) -> Floats:
    """Return the log views [n] of each video above the trend of its channel at that time.

    `channel`, `published` (days) and `target` (log views) [n]; the trend is computed from the `known` rows [n] only.
    """
    return np.asarray(target, np.float64) - local_trend(channel, published, target, known)


def fit_adapters(
    videos: ScoredVideos, above: Floats, known: Rows, score_slope: float, only: Iterable[str] | None = None
) -> dict[str, Adapter]:
    """Return the adapters of all channels that have enough known videos.

    `above` [n]: see `above_trend`; `known`: the rows to fit to; `score_slope`: see `Adapter`; `only`: fit no other channels.
    """
    if not len(known):
        return {}
    wanted = None if only is None else set(only)
    names, number = np.unique(videos.channel[known], return_inverse=True)
    order = np.argsort(number, kind="stable")
    adapters = {}
    for name, rows in zip(names, np.split(known[order], np.cumsum(np.bincount(number))[:-1]), strict=True):
        if wanted is not None and name not in wanted:
            continue
        adapter = fit_adapter(videos.standardise(videos.inputs[rows]), videos.scores[rows], above[rows], score_slope)
        if adapter is not None:
            adapters[str(name)] = adapter
    return adapters


def adapted_scores(videos: ScoredVideos, adapters: dict[str, Adapter]) -> Float64s:
    """Return the scores [n], adjusted by the adapters of the videos' channels; other scores stay as they are."""
    scores = np.asarray(videos.scores, np.float64).copy()
    for name, adapter in adapters.items():
        rows = np.flatnonzero(videos.channel == name)
        scores[rows] = adapter.adjust(videos.standardise(videos.inputs[rows]), videos.scores[rows])
    return scores
