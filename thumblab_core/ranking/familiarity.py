"""Decide whether a picture resembles any of the pictures on which a model was trained.

If a picture resembles none of them, the model's score of this picture means nothing.

A release stores up to 2,000 training pictures. A picture is familiar if its cosine to the nearest of them is at least a
threshold. To find the threshold, each stored picture is compared with the nearest stored picture of *another* channel.
The reason is that a new picture may also come from a new channel. The threshold is the 1st percentile of these cosines.
`python -m benchmarks.familiar` measures how well this threshold recognises unfamiliar pictures, see docs/evaluation.md.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from thumblab_core.encoders.protocol import Vectors
from thumblab_core.errors import LabError

FILE = "familiar.safetensors"

LEAST = 50
"""Minimum number of pictures for a threshold.

The threshold is a 1st percentile. With fewer pictures, 1 % of the pictures would be less than half a picture.
"""

MOST = 2_000
"""Maximum number of pictures that are stored, drawn at random.

More pictures would take longer to load, and would change few decisions.
"""

_LOWEST = 1.0
"""For each stored picture, the cosine to the nearest picture of another channel is computed. This percentile of the
cosines becomes the threshold of familiarity.
"""
_BLOCK = 256
"""Number of pictures that are compared with all stored pictures at once."""


@dataclass(frozen=True)
class Familiarity:
    """The stored training pictures as unit vectors, float16 [m, d], and the threshold of familiarity.

    A picture is familiar if its cosine to the nearest stored picture is at least `threshold`.
    """

    pictures: npt.NDArray[np.float16]
    threshold: float
    _compared: Vectors = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # `nearest` multiplies float32 faster than float16.
        object.__setattr__(self, "_compared", self.pictures.astype(np.float32))

    @classmethod
    def of(cls, pictures: Vectors, channels: npt.NDArray[np.str_]) -> Self | None:
        """Choose the pictures to store, and measure the threshold on them.

        `pictures` are the training pictures as unit vectors [n, d]. `channels` [n] are the channels of their videos.
        Return None if there are fewer than 50 pictures.
        """
        chosen = np.sort(np.random.default_rng(0).permutation(len(pictures))[:MOST])
        if len(chosen) < LEAST:
            return None
        kept, channel = pictures[chosen].astype(np.float16), channels[chosen]
        # If there is only one channel, each picture is compared with the channel's other pictures.
        single_channel = len(np.unique(channel)) == 1
        nearest = np.empty(len(kept), np.float32)
        for start in range(0, len(kept), _BLOCK):
            rows = np.arange(start, min(start + _BLOCK, len(kept)))
            cosines = kept[rows].astype(np.float32) @ kept.astype(np.float32).T
            excluded = (
                rows[:, None] == np.arange(len(kept)) if single_channel else channel[rows][:, None] == channel[None]
            )
            nearest[rows] = np.where(excluded, -1.0, cosines).max(axis=1)
        return cls(kept, float(np.percentile(nearest, _LOWEST)))

    def nearest(self, pictures: Vectors) -> npt.NDArray[np.float32]:
        """Return the cosine [n] of each unit vector [n, d] to the nearest of the stored pictures."""
        cosines: npt.NDArray[np.float32] = (pictures @ self._compared.T).max(axis=1)
        return cosines

    def save(self, folder: Path) -> None:
        """Write the familiarity file of a release into `folder`."""
        from safetensors.numpy import save_file

        save_file({"pictures": self.pictures, "least": np.array([self.threshold], np.float32)}, folder / FILE)

    @classmethod
    def load(cls, folder: Path, dimension: int) -> Self | None:
        """Read the familiarity file of a release. Return None if the release has no such file.

        Raises `LabError` if the file is damaged, or if its vectors do not have `dimension` dimensions.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        if not (folder / FILE).is_file():
            return None
        try:
            tensors = load_file(folder / FILE)
            pictures, least = tensors["pictures"], float(tensors["least"][0])
        except (SafetensorError, OSError, KeyError, IndexError) as error:
            raise LabError(f"{folder.name}: {FILE} cannot be read ({type(error).__name__})") from None
        if pictures.ndim != 2 or pictures.shape[1] != dimension or not np.isfinite(least):
            raise LabError(f"{folder.name}: the vectors in {FILE} do not have the {dimension} dimensions of this model")
        return cls(pictures, least)
