"""Fit channel adapters for the channels of the training data, and for channels that are added later."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Float32s, Float64s, Floats, Rows
from thumblab_core.ranking.adapters import Adapter, ComparedPictures, fit_adapter
from thumblab_core.ranking.kernel import Kernel
from thumblab_pipelines.statistics.metrics import numbered
from thumblab_pipelines.statistics.mixed_rows import MixedRows
from thumblab_pipelines.statistics.trend import local_trend

Standardise = Callable[[Float32s], Float32s]
"""A function that standardises inputs [n, d] (see `Ranker.standardise`)."""


@dataclass(frozen=True)
class ScoredVideos:
    """The inputs and scores of n videos. The scores come from the global model (the ranking model without adapters).

    The videos of each channel are in order of publication.

    `inputs` [n, d]: inputs of the model. `scores` [n]: scores of the model, in log views. `channel` [n]: the channel of
    each video. `kernel`: the kernel of the adapters (see `Adapter`). `compared`: the one-video pairs that the adapter
    of each channel may learn from, by channel.

    `standardise` is applied to the inputs of one channel at a time, because the standardised inputs of a whole corpus
    take gigabytes.
    """

    inputs: Float32s | MixedRows
    scores: Floats
    channel: npt.NDArray[np.str_]
    standardise: Standardise = np.asarray
    kernel: Kernel | None = None
    compared: Mapping[str, ComparedPictures] = field(default_factory=dict)


def above_trend(
    channel: npt.ArrayLike, published: npt.ArrayLike, target: npt.ArrayLike, known: npt.ArrayLike
) -> Floats:
    """Return the log views [n] of each video minus the channel's trend on the day when the video was published.

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
    adapters = {}
    for name, rows in _rows_by_channel(videos.channel, known):
        adapter = _fit(videos, above, name, rows, score_slope) if wanted is None or name in wanted else None
        if adapter is not None:
            adapters[name] = adapter
    return adapters


def adapted_scores(videos: ScoredVideos, adapters: dict[str, Adapter]) -> Float64s:
    """Return the scores [n] with the adapters applied. Scores of channels without an adapter stay the same."""
    scores = np.asarray(videos.scores, np.float64).copy()
    for name, rows in _rows_by_channel(videos.channel, np.arange(len(scores))):
        if name in adapters:
            scores[rows] = adapters[name].adjust(videos.standardise(videos.inputs[rows]), videos.scores[rows])
    return scores


def scores_from_others(videos: ScoredVideos, above: Floats, known: Rows, score_slope: float, out: Rows) -> Float64s:
    """Return the scores [len(out)] of the rows `out`, by adapters that are fitted only to the rows `known`.

    `out` and `known` must have no row in common. No adapter is kept, so the memory does not depend on the number of
    channels. If a channel has too few known videos for an adapter, the result is `score_slope` times the score. For the
    other parameters, see `fit_adapters`.
    """
    scores = score_slope * np.asarray(videos.scores, np.float64)
    known_rows = dict(_rows_by_channel(videos.channel, known))
    for name, rows in _rows_by_channel(videos.channel, out):
        adapter = _fit(videos, above, name, known_rows[name], score_slope) if name in known_rows else None
        if adapter is not None:
            scores[rows] = adapter.adjust(videos.standardise(videos.inputs[rows]), videos.scores[rows])
    return scores[out]


def _fit(videos: ScoredVideos, above: Floats, name: str, rows: Rows, score_slope: float) -> Adapter | None:
    inputs, compared = videos.standardise(videos.inputs[rows]), videos.compared.get(name)
    return fit_adapter(inputs, videos.scores[rows], above[rows], score_slope, videos.kernel, compared)


def _rows_by_channel(channel: npt.NDArray[np.str_], rows: Rows) -> list[tuple[str, Rows]]:
    """Return each channel of `rows` with its rows, which keep their order."""
    if not len(rows):
        return []
    number, names = numbered(channel[rows])
    order = np.argsort(number, kind="stable")
    return list(zip(names, np.split(rows[order], np.cumsum(np.bincount(number))[:-1]), strict=True))
