"""Learn what the history of a channel adds to the model, for channels of the corpus and for new ones."""

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Floats, Rows
from thumblab_core.ranking.adapters import Adapter, fit_adapter
from thumblab_pipelines.statistics.trend import local_trend

Compare = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]
"""Makes inputs comparable, see `Ranker.standardise`: a channel at a time, since those of a corpus take gigabytes."""


def above_trend(
    channel: npt.ArrayLike, published: npt.ArrayLike, target: npt.ArrayLike, known: npt.ArrayLike
) -> Floats:
    """[n] how far each video is above what its channel got around then, in log views; looks at known rows only."""
    return np.asarray(target, np.float64) - local_trend(channel, published, target, known)


def fit_adapters(
    inputs: npt.NDArray[np.float32],
    scores: Floats,
    above: Floats,
    channel: npt.NDArray[np.str_],
    known: Rows,
    kept: float,
    only: Iterable[str] | None = None,
    compare: Compare = np.asarray,
) -> dict[str, Adapter]:
    """The adapters of the channels that have history enough.

    `inputs` [n, d] of the model, made comparable by `compare` where they are not yet; `scores` [n] of the model, `above` [n]
    log views above the channel's trend, `channel` [n]; `known`: the rows that may be learnt from, each channel's in order of
    time. `kept`: see `Adapter`. `only`: these channels, where they are given.
    """
    if not len(known):
        return {}
    wanted = None if only is None else set(only)
    names, place = np.unique(channel[known], return_inverse=True)
    order = np.argsort(place, kind="stable")
    found = {}
    for name, rows in zip(names, np.split(known[order], np.cumsum(np.bincount(place))[:-1]), strict=True):
        if wanted is not None and name not in wanted:
            continue
        adapter = fit_adapter(compare(inputs[rows]), scores[rows], above[rows], kept)
        if adapter is not None:
            found[str(name)] = adapter
    return found


def adjusted(
    inputs: npt.NDArray[np.float32],
    scores: Floats,
    channel: npt.NDArray[np.str_],
    adapters: dict[str, Adapter],
    compare: Compare = np.asarray,
) -> npt.NDArray[np.float64]:
    """Scores [n] with what each video's own channel adds."""
    out = np.asarray(scores, np.float64).copy()
    for name, adapter in adapters.items():
        rows = np.flatnonzero(channel == name)
        out[rows] = adapter.adjust(compare(inputs[rows]), scores[rows])
    return out
