"""Resize pictures to the input size of a neural encoder. The model itself normalises them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from thumblab_core.errors import LabError
from thumblab_core.images import Pixels

Prepared = npt.NDArray[np.uint8]
"""One picture at the model's size, uint8 [height, width, 3] RGB."""

_MARGIN = 1.5
"""The least ratio of the size of a decoded picture to the model's input size. docs/encoders.md shows the effect."""


@dataclass(frozen=True)
class Preprocessing:
    """The size and the normalisation of the pictures on which a model was trained.

    Attributes:
        height, width: the size of the model's input in pixels.
        resize: `shortest` scales the picture until its shorter side fits the model, and keeps only the middle of the
            longer side, as CLIP's own transform does. For a square input, 22 % of a 16:9 thumbnail is then cut off on
            the left, and 22 % on the right. `squash` scales both sides without cropping.
        interpolation: the filter of the resize.
        mean, std: normalisation of channels from 0 to 1. Both are None for a model that takes uint8 and normalises
            itself.
    """

    height: int
    width: int
    resize: Literal["shortest", "squash"]
    interpolation: Literal["bicubic", "bilinear"]
    mean: tuple[float, float, float] | None
    std: tuple[float, float, float] | None

    @classmethod
    def from_json(cls, values: Any) -> Self:
        """Create a `Preprocessing` from the values that `as_json` returns. Raises `LabError` for a wrong value."""
        if not isinstance(values, dict) or set(values) != set(cls.__dataclass_fields__):
            raise LabError(f"the preprocessing must have exactly the fields {', '.join(cls.__dataclass_fields__)}")
        for name in ("height", "width"):
            if not isinstance(values[name], int) or not 8 <= values[name] <= 4096:
                raise LabError(f"{name} must be a whole number of pixels from 8 to 4096, not {values[name]!r}")
        for name, allowed in (("resize", ("shortest", "squash")), ("interpolation", ("bicubic", "bilinear"))):
            if values[name] not in allowed:
                raise LabError(f"{name} must be {' or '.join(allowed)}, not {values[name]!r}")
        mean, std = (_channels(name, values[name]) for name in ("mean", "std"))
        if (mean is None) != (std is None):
            raise LabError("mean and std must both be given, or both be null")
        if std is not None and min(std) <= 0:
            raise LabError("every std must be above 0")
        return cls(values["height"], values["width"], values["resize"], values["interpolation"], mean, std)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def decode_size(self) -> tuple[int, int]:
        """The width and the height that a decoded picture should at least have before it is passed to `prepare`."""
        return round(self.width * _MARGIN), round(self.height * _MARGIN)

    def prepare(self, image: Pixels) -> Prepared:
        """Resize a picture, uint8 [h, w, 3] RGB of any size, to uint8 [height, width, 3]. Any thread may call this.

        If `resize` is `shortest`, the result has the same pixels as the result of open_clip's preprocessing, which is
        torchvision's Resize and CenterCrop. But this function computes only the pixels inside the crop.
        """
        from PIL import Image

        picture = Image.fromarray(image)
        filters = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
        box = self._box(picture.width, picture.height) if self.resize == "shortest" else None
        return np.asarray(picture.resize((self.width, self.height), filters[self.interpolation], box=box))

    def _box(self, width: int, height: int) -> tuple[float, float, float, float]:
        """Return left, top, right and bottom of the crop that the model gets, rounded as in torchvision."""
        scaled_width, scaled_height = self.width, self.height
        if width * self.height > height * self.width:
            scaled_width = int(self.height * width / height)
        else:
            scaled_height = int(self.width * height / width)
        left, top = round((scaled_width - self.width) / 2), round((scaled_height - self.height) / 2)
        across, down = width / scaled_width, height / scaled_height
        right, bottom = (left + self.width) * across, (top + self.height) * down
        return left * across, top * down, min(right, float(width)), min(bottom, float(height))


def stack(pictures: Sequence[Prepared], preprocessing: Preprocessing) -> npt.NDArray[np.uint8]:
    """Stack n prepared pictures to one array, uint8 [n, height, width, 3]."""
    if not pictures:
        return np.zeros((0, preprocessing.height, preprocessing.width, 3), np.uint8)
    return np.stack(pictures)


def _channels(name: str, values: Any) -> tuple[float, float, float] | None:
    if values is None:
        return None
    if not isinstance(values, list | tuple) or len(values) != 3 or not all(isinstance(x, int | float) for x in values):
        raise LabError(f"{name} must be three numbers, one per channel, or null; not {values!r}")
    return float(values[0]), float(values[1]), float(values[2])
