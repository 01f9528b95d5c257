"""What the history of one channel adds to the model: partial pooling.

The model knows what works on channels in general, and how much that is worth on a channel that it never saw was measured
when it was trained. What a channel's own videos say beyond that is learnt for the channel alone, by kernel ridge regression
over the model's inputs (Gaussian kernel: a video like none that the channel had gets nothing, so this part grows with the
history by itself).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Floats
from thumblab_core.errors import LabError

LEAST_VIDEOS = 5
"""Of fewer videos no history is made."""

MOST_VIDEOS = 1_000
"""The newest of a channel that are kept: 7 kB each where pictures have 1,024 numbers."""

_LENGTH = 1.0
"""Of the kernel, in the inputs' own measure: pictures, titles and words are of length 1 each."""

_NOISE = 0.5
"""What chance does to views, in the variance of what the channel's taste does. See docs/training-recipe.md."""

LEAST_PLACED = 20
"""With fewer videos a place among a channel's own says nothing."""

FILE = "adapters.safetensors"


@dataclass(frozen=True)
class Adapter:
    """The history of a channel: inputs of its m videos, float16 [m, d], their weights, float32 [m], and `kept`:
    what one log view of the model's own score is worth on a channel that it never saw, 0 to 1.

    `quantiles`: the 101 percentiles of the channel's adapted scores, each video's by the history of the others; None below
    20 videos, and in histories made before these were kept.
    """

    history: npt.NDArray[np.float16]
    weights: npt.NDArray[np.float32]
    kept: float
    quantiles: npt.NDArray[np.float32] | None = None

    @property
    def videos(self) -> int:
        return len(self.weights)

    def adjust(self, inputs: Floats, scores: Floats) -> npt.NDArray[np.float32]:
        """Inputs [n, d] and the model's scores of them [n] to scores for this channel [n], in log views."""
        added = _kernel(inputs, self.history) @ self.weights
        adjusted: npt.NDArray[np.float32] = (self.kept * scores + added).astype(np.float32)
        return adjusted

    def percentile(self, score: float) -> float | None:
        """Where an adapted score stands among those of the channel's own videos, 0 to 100; None without `quantiles`."""
        return None if self.quantiles is None else float(np.interp(score, self.quantiles, np.arange(101.0)))


def fit_adapter(inputs: Floats, scores: Floats, above: Floats, kept: float) -> Adapter | None:
    """The adapter of one channel, or None where its history is too short.

    Of its videos, oldest first: `inputs` [m, d], the model's `scores` [m], and `above` [m]: log views above the channel's
    trend. `kept`: see `Adapter`.
    """
    inputs, scores, above = (values[-MOST_VIDEOS:] for values in (inputs, scores, above))
    if len(above) < LEAST_VIDEOS:
        return None
    left = above - kept * np.asarray(scores, np.float64)
    history = inputs.astype(np.float16)
    kernel = _kernel(history, history) + _NOISE * np.eye(len(left))
    weights = np.linalg.solve(kernel, left - left.mean())
    quantiles = None
    if len(left) >= LEAST_PLACED:
        # Leave-one-out of kernel ridge regression in closed form: without its own row a fit is off by this quotient.
        others = left - left.mean() - weights / np.diagonal(np.linalg.inv(kernel))
        quantiles = np.percentile(kept * np.asarray(scores, np.float64) + others, np.arange(101)).astype(np.float32)
    return Adapter(history, weights.astype(np.float32), kept, quantiles)


def _kernel(first: Floats, second: Floats) -> npt.NDArray[np.float64]:
    """[n, m] 1 for the same video, near 0 for another world."""
    a, b = first.astype(np.float32), second.astype(np.float32)
    apart = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None] - 2 * a @ b.T
    kernel: npt.NDArray[np.float64] = np.exp(-np.maximum(apart, 0).astype(np.float64) / (2 * _LENGTH**2))
    return kernel


class Adapters:
    """Adapters by channel: those in memory, or a release's, read one by one when asked for, as a corpus has thousands."""

    def __init__(self, kept: Mapping[str, Adapter] | None = None, path: Path | None = None) -> None:
        self._kept = dict(kept or {})
        self._path = path
        self.channels = frozenset(self._kept)
        if path is not None:
            with _opened(path) as file:
                self.channels = frozenset(name.rpartition("/")[0] for name in file.keys())  # noqa: SIM118  (no mapping)

    def save(self, folder: Path) -> None:
        """Write the file of a release."""
        from safetensors.numpy import save_file

        parts: dict[str, npt.NDArray[np.floating]] = {}
        for channel in sorted(self.channels):
            adapter = self._any(channel)
            parts[f"{channel}/history"] = np.ascontiguousarray(adapter.history)
            parts[f"{channel}/weights"] = np.ascontiguousarray(adapter.weights)
            parts[f"{channel}/kept"] = np.array([adapter.kept], np.float32)
            if adapter.quantiles is not None:
                parts[f"{channel}/quantiles"] = adapter.quantiles
        save_file(parts, folder / FILE)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Open the file of a release. Raises `LabError` when it cannot be read."""
        return cls(path=folder / FILE)

    def of(self, channel: str, inputs: int) -> Adapter | None:
        """The adapter of a channel over that many inputs. None where there is none. Raises `LabError` if it is another's."""
        if channel not in self.channels:
            return None
        found = self._any(channel)
        if (
            found.history.shape != (found.videos, inputs)
            or not np.isfinite(found.weights).all()
            or not _rising(found.quantiles)
        ):
            raise LabError(f"the history of {channel} is not of this model")
        return found

    def _any(self, channel: str) -> Adapter:
        if self._path is None:
            return self._kept[channel]
        with _opened(self._path) as file:
            history, weights, kept = (file.get_tensor(f"{channel}/{part}") for part in ("history", "weights", "kept"))
            placed = f"{channel}/quantiles"
            quantiles = file.get_tensor(placed) if placed in file.keys() else None  # noqa: SIM118  (no mapping)
            return Adapter(history, weights, float(kept[0]), quantiles)


def _rising(quantiles: npt.NDArray[np.float32] | None) -> bool:
    return quantiles is None or (quantiles.shape == (101,) and bool((np.diff(quantiles) >= 0).all()))


def _opened(path: Path) -> Any:
    from safetensors import SafetensorError, safe_open

    try:
        return safe_open(path, framework="numpy")
    except (OSError, SafetensorError) as error:
        raise LabError(f"{path.name} cannot be read ({str(error)[:200]})") from None
