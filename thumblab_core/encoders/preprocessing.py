"""How a picture becomes the input of a learnt encoder: brought to the model's size here, normalised inside the model."""

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
"""A picture is decoded to no less than this many times the size it is brought to: see docs/encoders.md for what it costs."""


@dataclass(frozen=True)
class Preprocessing:
    """The size and the normalisation that a model was trained with.

    `shortest` scales the shorter side to the model's and cuts the middle out, as CLIP's own transform does: of a 16:9
    thumbnail the outer 22 % on either side are not seen. `squash` brings both sides to the model's without cutting.
    `mean` and `std` are of channels from 0 to 1; both are None for a model that takes bytes and normalises by itself.
    """

    height: int
    width: int
    resize: Literal["shortest", "squash"]
    interpolation: Literal["bicubic", "bilinear"]
    mean: tuple[float, float, float] | None
    std: tuple[float, float, float] | None

    @classmethod
    def from_json(cls, said: Any) -> Self:
        """From the values that `as_json` gives. Raises `LabError` that names the first thing wrong."""
        if not isinstance(said, dict) or set(said) != set(cls.__dataclass_fields__):
            raise LabError(f"a preprocessing names exactly {', '.join(cls.__dataclass_fields__)}")
        for name in ("height", "width"):
            if not isinstance(said[name], int) or not 8 <= said[name] <= 4096:
                raise LabError(f"{name} is a whole number of pixels from 8 to 4096, not {said[name]!r}")
        for name, allowed in (("resize", ("shortest", "squash")), ("interpolation", ("bicubic", "bilinear"))):
            if said[name] not in allowed:
                raise LabError(f"{name} is {' or '.join(allowed)}, not {said[name]!r}")
        mean, std = (_channels(name, said[name]) for name in ("mean", "std"))
        if (mean is None) != (std is None):
            raise LabError("mean and std are given together, or both are null")
        if std is not None and min(std) <= 0:
            raise LabError("every std is above 0")
        return cls(said["height"], said["width"], said["resize"], said["interpolation"], mean, std)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def decode_size(self) -> tuple[int, int]:
        """Width and height that a picture should have at least when it comes to `prepare`."""
        return round(self.width * _MARGIN), round(self.height * _MARGIN)

    def prepare(self, image: Pixels) -> Prepared:
        """Bring a picture, uint8 [h, w, 3] RGB of any size, to uint8 [height, width, 3]. From any thread.

        The same pixels as torchvision's Resize and CenterCrop of a Pillow image, which open_clip uses, but only those
        that stay are computed.
        """
        from PIL import Image

        picture = Image.fromarray(image)
        filters = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
        box = self._box(picture.width, picture.height) if self.resize == "shortest" else None
        return np.asarray(picture.resize((self.width, self.height), filters[self.interpolation], box=box))

    def _box(self, width: int, height: int) -> tuple[float, float, float, float]:
        """The part of the picture that the model sees, rounded as torchvision rounds."""
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
    """n prepared pictures as uint8 [n, height, width, 3]."""
    if not pictures:
        return np.zeros((0, preprocessing.height, preprocessing.width, 3), np.uint8)
    return np.stack(pictures)


def _channels(name: str, said: Any) -> tuple[float, float, float] | None:
    if said is None:
        return None
    if not isinstance(said, list | tuple) or len(said) != 3 or not all(isinstance(x, int | float) for x in said):
        raise LabError(f"{name} is three numbers, one per channel, or null; not {said!r}")
    return float(said[0]), float(said[1]), float(said[2])
