"""Channel adapters. An adapter corrects the model's scores for one channel, by the channel's videos (partial pooling).

The model learns what works on channels in general. An adapter multiplies the model's score by `Adapter.score_slope`,
which was measured on unseen channels at training. Then the adapter adds a prediction of what the model's score misses
on this channel. This prediction is a kernel ridge regression over the model's inputs, fitted on the channel's own
videos alone. The kernel is Gaussian, so a video that is unlike all videos of the channel gets almost nothing added. If
the channel has more videos, a new video is more often like one of them. So the adapter then has more effect.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Floats
from thumblab_core.errors import LabError
from thumblab_core.ranking.percentiles import LEAST_PLACED, percentile_of, percentiles

LEAST_VIDEOS = 5
"""Minimum number of videos for an adapter."""

MOST_VIDEOS = 1_000
"""Maximum number of videos in an adapter. If a channel has more, the newest are used.

A video takes 7 kB in the adapter if picture vectors have 1,024 dimensions.
"""

_LENGTH = 1.0
"""Length scale of the kernel. Pictures, titles and words in the standardised inputs have length 1 each."""

_NOISE = 0.5
"""Variance of views that is due to chance, divided by the variance that the taste of a channel's viewers explains.

See docs/training-recipe.md.
"""

FILE = "adapters.safetensors"


@dataclass(frozen=True)
class Adapter:
    """The adapter of one channel, fitted on m of its videos.

    `inputs`: standardised inputs of the videos, float16 [m, d]. `weights`: their weights, float32 [m].
    `score_slope`: slope of true log views on the model's score, measured on unseen channels, 0 to 1.
    `quantiles`: the 101 percentiles of the adapted scores of the channel's own videos. Each video is scored by an
    adapter that was fitted on the channel's other videos. `quantiles` is None if there are fewer than 20 videos, or if
    an older version of the lab made the adapter.
    """

    inputs: npt.NDArray[np.float16]
    weights: npt.NDArray[np.float32]
    score_slope: float
    quantiles: npt.NDArray[np.float32] | None = None

    @property
    def videos(self) -> int:
        """Number of videos that the adapter was fitted on."""
        return len(self.weights)

    def adjust(self, inputs: Floats, scores: Floats) -> npt.NDArray[np.float32]:
        """Return the scores [n] for this channel in log views.

        `inputs` [n, d] are standardised. `scores` [n] are the scores of the model.
        """
        added = _kernel(inputs, self.inputs) @ self.weights
        adjusted: npt.NDArray[np.float32] = (self.score_slope * scores + added).astype(np.float32)
        return adjusted

    def percentile(self, score: float) -> float | None:
        """Return the percentile of an adapted score among the channel's own videos, 0 to 100.

        Return None if the adapter has no `quantiles`.
        """
        return None if self.quantiles is None else percentile_of(score, self.quantiles)


def fit_adapter(inputs: Floats, scores: Floats, above: Floats, score_slope: float) -> Adapter | None:
    """Fit the adapter of one channel. Return None if the channel has fewer than five videos.

    The rows are the channel's videos, oldest first. `inputs` [m, d] are standardised. `scores` [m] are the scores of
    the model. `above` [m] says how far the log views of each video are above the channel's trend. For `score_slope`,
    see `Adapter`.
    """
    inputs, scores, above = (values[-MOST_VIDEOS:] for values in (inputs, scores, above))
    if len(above) < LEAST_VIDEOS:
        return None
    model_part = score_slope * np.asarray(scores, np.float64)
    residuals = above - model_part
    centred = residuals - residuals.mean()
    stored = inputs.astype(np.float16)
    kernel = _kernel(stored, stored) + _NOISE * np.eye(len(centred))
    weights = np.linalg.solve(kernel, centred)
    quantiles = None
    if len(centred) >= LEAST_PLACED:
        # `left_out` is the prediction for each video by a regression that was fitted on all other videos of the
        # channel. This closed form gives it without fitting a regression for each video.
        left_out = centred - weights / np.diagonal(np.linalg.inv(kernel))
        quantiles = percentiles(model_part + left_out).astype(np.float32)
    return Adapter(stored, weights.astype(np.float32), score_slope, quantiles)


def _kernel(first: Floats, second: Floats) -> npt.NDArray[np.float64]:
    """Return the Gaussian kernel [n, m] of inputs [n, d] and [m, d]: 1 for equal rows, near 0 for unlike ones."""
    a, b = first.astype(np.float32), second.astype(np.float32)
    squared_distance = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None] - 2 * a @ b.T
    kernel: npt.NDArray[np.float64] = np.exp(-np.maximum(squared_distance, 0).astype(np.float64) / (2 * _LENGTH**2))
    return kernel


class Adapters:
    """The adapters of many channels, in memory or in the file of a release.

    An adapter in a file is read only when `of` asks for it, because a corpus has thousands of channels.
    """

    def __init__(self, in_memory: Mapping[str, Adapter] | None = None, path: Path | None = None) -> None:
        self._in_memory = dict(in_memory or {})
        self._path = path
        self.channels = frozenset(self._in_memory)
        if path is not None:
            with _opened(path) as file:
                self.channels = frozenset(name.rpartition("/")[0] for name in file.keys())  # noqa: SIM118  (no mapping)

    def save(self, folder: Path) -> None:
        """Write the adapters file of a release."""
        from safetensors.numpy import save_file

        tensors: dict[str, npt.NDArray[np.floating]] = {}
        for channel in sorted(self.channels):
            adapter = self._read(channel)
            tensors[f"{channel}/history"] = np.ascontiguousarray(adapter.inputs)
            tensors[f"{channel}/weights"] = np.ascontiguousarray(adapter.weights)
            tensors[f"{channel}/kept"] = np.array([adapter.score_slope], np.float32)
            if adapter.quantiles is not None:
                tensors[f"{channel}/quantiles"] = adapter.quantiles
        save_file(tensors, folder / FILE)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Open the adapters file of a release. Raises `LabError` if it cannot be read."""
        return cls(path=folder / FILE)

    def of(self, channel: str, inputs: int) -> Adapter | None:
        """Return the adapter of a channel, or None if the channel has none.

        `inputs` is the number of inputs of the model. Raises `LabError` if the adapter was fitted for another number of
        inputs, or if its values are not valid.
        """
        if channel not in self.channels:
            return None
        adapter = self._read(channel)
        if (
            adapter.inputs.shape != (adapter.videos, inputs)
            or not np.isfinite(adapter.weights).all()
            or not _valid(adapter.quantiles)
        ):
            raise LabError(f"the adapter of channel {channel} does not fit this model")
        return adapter

    def _read(self, channel: str) -> Adapter:
        if self._path is None:
            return self._in_memory[channel]
        with _opened(self._path) as file:
            parts = ("history", "weights", "kept")
            inputs, weights, score_slope = (file.get_tensor(f"{channel}/{part}") for part in parts)
            quantiles_name = f"{channel}/quantiles"
            stored = quantiles_name in file.keys()  # noqa: SIM118  (no mapping)
            quantiles = file.get_tensor(quantiles_name) if stored else None
            return Adapter(inputs, weights, float(score_slope[0]), quantiles)


def _valid(quantiles: npt.NDArray[np.float32] | None) -> bool:
    """Return whether the quantiles are 101 rising values. Missing quantiles are valid."""
    return quantiles is None or (quantiles.shape == (101,) and bool((np.diff(quantiles) >= 0).all()))


def _opened(path: Path) -> Any:
    from safetensors import SafetensorError, safe_open

    try:
        return safe_open(path, framework="numpy")
    except (OSError, SafetensorError) as error:
        raise LabError(f"{path.name} cannot be read ({str(error)[:200]})") from None
