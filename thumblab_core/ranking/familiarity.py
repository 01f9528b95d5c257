"""Whether a picture is like anything that a model has learnt from. Of one that is not, its score says nothing.

A picture is judged by its cosine to the nearest of the training pictures. What is near enough is measured on these pictures
themselves: each is asked for its nearest among the pictures of *other* channels, as one of a new channel would be, and the
lowest hundredth of that is the limit. Measured by `python -m benchmarks.familiar`, see docs/evaluation.md.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from thumblab_core.encoders.protocol import Vectors
from thumblab_core.errors import LabError

FILE = "familiar.safetensors"

LEAST = 50
"""Of fewer pictures no limit is measured: their lowest hundredth is none of them."""

MOST = 2_000
"""So many are kept, drawn by lot: more find nothing that is nearer, and take longer to read."""

_LOWEST = 1.0  # per cent
_BLOCK = 256


@dataclass(frozen=True)
class Familiarity:
    """Training pictures as unit vectors, float16 [m, d], and the cosine that a picture must have to one of them."""

    pictures: npt.NDArray[np.float16]
    least: float

    @classmethod
    def of(cls, pictures: Vectors, channels: npt.NDArray[np.str_]) -> Self | None:
        """Of the unit vectors [n, d] that a model learns from and their channels [n]; None where they are too few."""
        chosen = np.sort(np.random.default_rng(0).permutation(len(pictures))[:MOST])
        if len(chosen) < LEAST:
            return None
        kept, channel = pictures[chosen].astype(np.float16), channels[chosen]
        alone = len(np.unique(channel)) == 1  # then other videos are as far as one can look
        nearest = np.empty(len(kept), np.float32)
        for start in range(0, len(kept), _BLOCK):
            rows = np.arange(start, min(start + _BLOCK, len(kept)))
            cosines = kept[rows].astype(np.float32) @ kept.astype(np.float32).T
            own = rows[:, None] == np.arange(len(kept)) if alone else channel[rows][:, None] == channel[None]
            nearest[rows] = np.where(own, -1.0, cosines).max(axis=1)
        return cls(kept, float(np.percentile(nearest, _LOWEST)))

    def nearest(self, pictures: Vectors) -> npt.NDArray[np.float32]:
        """[n] the cosine of each unit vector [n, d] to the nearest of the training pictures."""
        found: npt.NDArray[np.float32] = (pictures @ self.pictures.astype(np.float32).T).max(axis=1)
        return found

    def save(self, folder: Path) -> None:
        """Write the file of a release."""
        from safetensors.numpy import save_file

        save_file({"pictures": self.pictures, "least": np.array([self.least], np.float32)}, folder / FILE)

    @classmethod
    def load(cls, folder: Path, dimension: int) -> Self | None:
        """That of a release over pictures [d]; None where it has none. Raises `LabError` when it is damaged."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        if not (folder / FILE).is_file():
            return None
        try:
            parts = load_file(folder / FILE)
            pictures, least = parts["pictures"], float(parts["least"][0])
        except (SafetensorError, OSError, KeyError, IndexError) as error:
            raise LabError(f"{folder.name}: {FILE} cannot be read ({type(error).__name__})") from None
        if pictures.ndim != 2 or pictures.shape[1] != dimension or not np.isfinite(least):
            raise LabError(f"{folder.name}: {FILE} is not of this model's pictures")
        return cls(pictures, least)
