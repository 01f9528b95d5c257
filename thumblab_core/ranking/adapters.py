"""Channel adapters. An adapter corrects the model's scores for one channel. An adapter is fitted to the videos of this
channel.

The model learns what works on channels in general. An adapter multiplies the model's score by `Adapter.score_slope`,
which was measured on unseen channels when the model was trained. Then the adapter adds a correction, which a kernel
ridge regression predicts from the model's inputs. The regression is fitted only on the channel's own videos. The module
`kernel` defines its kernel. The more videos the channel has, the more the adapter can change the scores. Such a
combination of a general and a particular fit is known as "partial pooling".

The regression can also learn from pairs of pictures that were compared on one video, for example in an experiment. Such
a pair does not show how good each picture is, but how much better one picture is than the other. So the fit uses each
pair as one observation, the difference between its two pictures.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Floats
from thumblab_core.errors import LabError
from thumblab_core.ranking.kernel import Kernel
from thumblab_core.ranking.packed_rows import PackedRows
from thumblab_core.ranking.percentiles import LEAST_PLACED, percentile_of, percentiles

LEAST_VIDEOS = 5
"""Minimum number of videos for an adapter."""

MOST_VIDEOS = 1_000
"""Maximum number of videos in an adapter. If a channel has more videos, the newest are used.

A video takes about 4 kB in the adapter if picture vectors have 1,024 dimensions.
"""

_NOISE = 0.5
"""The variance that chance causes in a channel's log views, divided by the variance that its viewers' taste explains.

docs/training-recipe.md compares other values.
"""

_LEAST_NOISE = 0.01
"""Minimum of the variance that chance causes in the measured difference of two pictures, in the unit of `_NOISE`.

Without this minimum, a single experiment could determine the whole adapter.
"""

FILE = "adapters.safetensors"
_KERNEL = "#kernel"
"""Name under which an adapters file stores the kernel. No channel has this name, because channel ids have no `#`."""


@dataclass(frozen=True)
class ComparedPictures:
    """k pairs of pictures that were compared on one video of a channel.

    `first` and `second` [k, d]: the standardised inputs of the two pictures, each picture under its own
    title. `score_gaps` [k]: the model's score of the first picture minus its score of the second picture. `gaps` [k]:
    the measured log clicks or log views of the first picture minus those of the second picture. `variances` [k]: the
    variance of the error of each gap.
    """

    first: Floats
    second: Floats
    score_gaps: Floats
    gaps: Floats
    variances: Floats


@dataclass(frozen=True)
class Adapter:
    """The adapter of one channel, fitted on m pictures.

    The m pictures are the pictures of the channel's videos and of its one-video pairs (`ComparedPictures`).

    `history`: standardised inputs of the pictures [m, d]. `weights`: weights of the pictures in the regression,
    float32 [m]. `score_slope`: slope of the measured log views on the model's score, 0 to 1. It was measured on
    channels on which the model was not trained. `quantiles`: the 101 percentiles of the adapted scores of the channel's
    own videos. Each video is scored by an adapter that was fitted on the channel's other videos. `quantiles` is None if
    there are fewer than 20 videos, or if an older version of the lab made the adapter. `kernel`: the kernel of the
    regression. None means a kernel that is only a Gaussian, as in older versions of the lab. `compared`: number of
    one-video pairs, k. Their pictures are the last 2 k rows of `history`: k rows with the first picture of each pair,
    and then k rows with the second.
    """

    history: PackedRows
    weights: npt.NDArray[np.float32]
    score_slope: float
    quantiles: npt.NDArray[np.float32] | None = None
    kernel: Kernel | None = None
    compared: int = 0

    @property
    def videos(self) -> int:
        """Number of videos that the adapter was fitted on."""
        return len(self.weights) - 2 * self.compared

    def adjust(self, inputs: Floats, scores: Floats) -> npt.NDArray[np.float32]:
        """Return the scores [n] of pictures, corrected for this channel, in log views.

        `inputs` [n, d] are the standardised inputs of the pictures. `scores` [n] are the scores of the model.
        """
        adjusted: npt.NDArray[np.float32] = (self.score_slope * scores + self.correction(inputs)).astype(np.float32)
        return adjusted

    def correction(self, inputs: Floats) -> npt.NDArray[np.float64]:
        """Return what the channel's history adds to the scores [n] of pictures with these standardised inputs [n, d]."""
        kernel = self.kernel or Kernel.without_linear_parts(self.history.width)
        return kernel(inputs, self.history.unpacked()) @ self.weights

    def percentile(self, score: float) -> float | None:
        """Return the percentile of an adapted score among the channel's own videos, 0 to 100.

        Return None if the adapter has no `quantiles`.
        """
        return None if self.quantiles is None else percentile_of(score, self.quantiles)


def fit_adapter(
    inputs: Floats,
    scores: Floats,
    above: Floats,
    score_slope: float,
    kernel: Kernel | None = None,
    compared: ComparedPictures | None = None,
) -> Adapter | None:
    """Fit the adapter of one channel. Return None if the channel has fewer than five videos.

    `inputs`, `scores` and `above` have one row for each of the channel's m videos, oldest first. `inputs` [m, d] are
    standardised. `scores` [m] are the scores of the model. `above` [m] says how far the log views of each video are
    above the channel's trend. `compared`: pairs of pictures that were compared on one video of the channel. For
    `score_slope` and `kernel`, see `Adapter`.
    """
    inputs, scores, above = (values[-MOST_VIDEOS:] for values in (inputs, scores, above))
    if len(above) < LEAST_VIDEOS:
        return None
    model_part = score_slope * np.asarray(scores, np.float64)
    residuals = above - model_part
    centred = residuals - residuals.mean()
    videos = len(centred)
    if compared is not None and len(compared.gaps):
        stored = np.concatenate([inputs, compared.first, compared.second]).astype(np.float16)
        observed = np.concatenate([centred, compared.gaps - score_slope * np.asarray(compared.score_gaps, np.float64)])
        # The kernel measures variances in its own unit: the Gaussian explains a variance of 1, and the noise of a video
        # has the variance `_NOISE`. The variance of `centred` is the sum of both. So one unit of the kernel is a
        # variance of `unit` in log views.
        unit = max(float(np.var(centred)), 1e-9) / (1 + _NOISE)
        noise = np.concatenate([np.full(videos, _NOISE), np.maximum(compared.variances / unit, _LEAST_NOISE)])
    else:
        stored, observed, noise = inputs.astype(np.float16), centred, np.full(videos, _NOISE)
    pairs = len(observed) - videos
    of_points = (kernel or Kernel.without_linear_parts(stored.shape[1]))(stored, stored)
    # A row of `difference`, multiplied by the values of all pictures, is one measured value. The measured value of a
    # video is the value of its picture. The measured value of a pair is the value of its first picture minus the value
    # of its second picture.
    difference = np.eye(videos + pairs, videos + 2 * pairs)
    difference[np.arange(videos, videos + pairs), np.arange(videos + pairs, videos + 2 * pairs)] = -1.0
    matrix = difference @ of_points @ difference.T + np.diag(noise)
    solution = np.linalg.solve(matrix, observed)
    quantiles = None
    if videos >= LEAST_PLACED:
        # `left_out` is the prediction for each video by a regression that was fitted on all other observations of the
        # channel. This closed form gives the predictions without fitting a regression for each video.
        left_out = (observed - solution / np.diagonal(np.linalg.inv(matrix)))[:videos]
        quantiles = percentiles(model_part + left_out).astype(np.float32)
    weights = (difference.T @ solution).astype(np.float32)
    return Adapter(PackedRows.of(stored), weights, score_slope, quantiles, kernel, pairs)


class Adapters:
    """The adapters of many channels, in memory or in the file of a release.

    An adapter in a file is read only when `of` is called for its channel, because a corpus has thousands of channels.
    """

    def __init__(self, in_memory: Mapping[str, Adapter] | None = None, path: Path | None = None) -> None:
        self._in_memory = dict(in_memory or {})
        self._path = path
        self.channels = frozenset(self._in_memory)
        if path is not None:
            with _opened(path) as file:
                names = {name.rpartition("/")[0] for name in file.keys()}  # noqa: SIM118  (the file is not a mapping)
            self.channels = frozenset(names - {_KERNEL})

    def save(self, folder: Path) -> None:
        """Write the adapters file of a release into `folder`."""
        from safetensors.numpy import save_file

        tensors: dict[str, npt.NDArray[Any]] = {}
        for channel in sorted(self.channels):
            adapter = self._read(channel)
            tensors |= adapter.history.tensors(f"{channel}/history")
            tensors[f"{channel}/weights"] = np.ascontiguousarray(adapter.weights)
            tensors[f"{channel}/kept"] = np.array([adapter.score_slope], np.float32)
            if adapter.quantiles is not None:
                tensors[f"{channel}/quantiles"] = adapter.quantiles
            if adapter.compared:
                tensors[f"{channel}/compared"] = np.array([adapter.compared], np.float32)
            if adapter.kernel is not None:  # All adapters of a model have this kernel, so it is stored once.
                tensors[f"{_KERNEL}/gaussian"] = adapter.kernel.gaussian
                tensors[f"{_KERNEL}/linear"] = adapter.kernel.linear
        save_file(tensors, folder / FILE)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Open the adapters file of a release. Raises `LabError` if the file cannot be read."""
        return cls(path=folder / FILE)

    def of(self, channel: str, inputs: int) -> Adapter | None:
        """Return the adapter of a channel, or None if the channel has none.

        `inputs` is the number of inputs of the model. Raises `LabError` if the adapter was fitted for another number of
        inputs, or if its stored values are not valid.
        """
        if channel not in self.channels:
            return None
        adapter = self._read(channel)
        kernel = adapter.kernel
        if (
            adapter.history.shape != (len(adapter.weights), inputs)
            or adapter.videos < 0
            or not np.isfinite(adapter.weights).all()
            or not _valid(adapter.quantiles)
            or (kernel is not None and not (kernel.gaussian.shape == kernel.linear.shape == (inputs,)))
        ):
            raise LabError(f"the adapter of channel {channel} does not fit this model")
        return adapter

    def _read(self, channel: str) -> Adapter:
        if self._path is None:
            return self._in_memory[channel]
        with _opened(self._path) as file:
            weights, score_slope = (file.get_tensor(f"{channel}/{part}") for part in ("weights", "kept"))
            stored = frozenset(file.keys())
            name = f"{channel}/history"
            of_history = [other for other in stored if other == name or other.startswith(f"{name}.")]
            history = PackedRows.read({other: file.get_tensor(other) for other in of_history}, name)
            if history is None:
                raise LabError(f"the adapter of channel {channel} does not fit this model")
            quantiles, compared = (
                file.get_tensor(name) if name in stored else None
                for name in (f"{channel}/quantiles", f"{channel}/compared")
            )
            kernel = None
            if f"{_KERNEL}/linear" in stored:
                kernel = Kernel(file.get_tensor(f"{_KERNEL}/gaussian"), file.get_tensor(f"{_KERNEL}/linear"))
            pairs = 0 if compared is None else int(compared[0])
            return Adapter(history, weights, float(score_slope[0]), quantiles, kernel, pairs)


def _valid(quantiles: npt.NDArray[np.float32] | None) -> bool:
    """Return whether the quantiles are missing or are 101 rising values."""
    return quantiles is None or (quantiles.shape == (101,) and bool((np.diff(quantiles) >= 0).all()))


def _opened(path: Path) -> Any:
    from safetensors import SafetensorError, safe_open

    try:
        return safe_open(path, framework="numpy")
    except (OSError, SafetensorError) as error:
        raise LabError(f"{path.name} cannot be read ({str(error)[:200]})") from None
