"""Fit channel adapters for the channels of the training data, and for channels that are added later."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Float32s, Float64s, Floats, Rows
from thumblab_core.ranking.adapters import Adapter, ComparedPictures, fit_adapter
from thumblab_core.ranking.kernel import Kernel
from thumblab_pipelines.statistics.trend import local_trend

Standardise = Callable[[Float32s], Float32s]
"""A function that standardises inputs [n, d], see `Ranker.standardise`."""


@dataclass(frozen=True)
class ScoredVideos:
    """The inputs and scores of n videos. The scores come from the global model, the ranking model without adapters.

    The videos of each channel are in order of publication.

    `inputs` [n, d]: inputs of the model. `scores` [n]: scores of the model, in log views. `channel` [n]: the channel of
    each video. `kernel`: the kernel of the adapters, see `Adapter`. `compared`: by channel, the pairs of pictures that
    were compared on one video and that adapters may learn from.

    `standardise` is applied to the inputs of one channel at a time, because the standardised inputs of a whole corpus
    take gigabytes.
    """

    inputs: Float32s
    scores: Floats
    channel: npt.NDArray[np.str_]
    standardise: Standardise = np.asarray
    kernel: Kernel | None = None
    compared: Mapping[str, ComparedPictures] = field(default_factory=dict)


def above_trend(
    channel: npt.ArrayLike, published: npt.ArrayLike, target: npt.ArrayLike, known: npt.ArrayLike
) -> Floats:
    """Return the log views [n] of each video minus the trend of its channel at its publication.

    `channel` [n], `published` [n] (days) and `target` [n] (log views) describe the videos. The trend is computed only
    from the rows whose flag in `known` [n] is set.
    """
    return np.asarray(target, np.float64) - local_trend(channel, published, target, known)


def fit_adapters(
    videos: ScoredVideos, above: Floats, known: Rows, score_slope: float, only: Iterable[str] | None = None
) -> dict[str, Adapter]:
    """Return the adapters of all channels that have enough known videos.

    `above` [n]: the result of `above_trend`. `known`: the rows that the adapters are fitted to. `score_slope`: see
    `Adapter`. `only`: the channels for which adapters are fitted, by default all.
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
        inputs, compared = videos.standardise(videos.inputs[rows]), videos.compared.get(str(name))
        adapter = fit_adapter(inputs, videos.scores[rows], above[rows], score_slope, videos.kernel, compared)
        if adapter is not None:
            adapters[str(name)] = adapter
    return adapters


def adapted_scores(videos: ScoredVideos, adapters: dict[str, Adapter]) -> Float64s:
    """Return the scores [n] with the adapters applied. Scores of channels without an adapter stay the same."""
    scores = np.asarray(videos.scores, np.float64).copy()
    for name, adapter in adapters.items():
        rows = np.flatnonzero(videos.channel == name)
        scores[rows] = adapter.adjust(videos.standardise(videos.inputs[rows]), videos.scores[rows])
    return scores
