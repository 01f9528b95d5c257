"""The base class of neural image encoders. It prepares pictures, runs the neural network and makes the fingerprint."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from thumblab_core.encoders.preprocessing import Prepared, Preprocessing, stack
from thumblab_core.encoders.protocol import Vectors
from thumblab_core.encoders.tower import CompiledTower, read_graph
from thumblab_core.images import Pixels
from thumblab_core.releases.release import Release

CUDA_DEVICES = ("/dev/nvidiactl", "/dev/dxg")
Tower = Callable[[npt.NDArray[np.uint8]], Vectors]

_BATCH = 16


def may_have_cuda() -> bool:
    """Return whether the machine has a CUDA device. PyTorch may still be unable to use this device."""
    return any(Path(device).exists() for device in CUDA_DEVICES)


class NeuralEncoder(ABC):
    """A neural image encoder. Its image tower is the model that turns pictures into vectors.

    `compiled` is a release that `precision.choose_precision` published, or None. With a release, OpenVINO runs the
    tower of the release. Without a release, PyTorch runs the tower of `_torch_tower`, in `precision`. If `_torch_tower`
    returns None, this process converts the model, and OpenVINO runs it in float32.
    """

    base: str
    fingerprint: str
    near_duplicate: float
    largest_batch = 64

    def __init__(self, base: str, compiled: Release | None = None, precision: str = "float32") -> None:
        self.base = base
        self.precision = str(compiled.info["precision"]) if compiled is not None else precision
        self._compiled = compiled
        # An int8 graph depends on the pictures on which the ranges of its values were measured. So two int8 graphs of
        # one model may differ, and the fingerprint of an int8 encoder contains the digest of its graph.
        weights = f"-{compiled.files['model.bin'][:8]}" if compiled is not None and self.precision == "int8" else ""
        self.fingerprint = f"{base}-{self.precision}{weights}"

    @cached_property
    def preprocessing(self) -> Preprocessing:
        if self._compiled is not None:
            return Preprocessing.from_json(self._compiled.info["preprocessing"])
        return self._read_preprocessing()

    @property
    def decode_size(self) -> tuple[int, int]:
        return self.preprocessing.decode_size

    @cached_property
    def dimension(self) -> int:
        if self._compiled is not None:
            return int(self._compiled.info["dimension"])
        size = self.preprocessing
        return int(self._tower(np.zeros((1, size.height, size.width, 3), np.uint8)).shape[1])

    @cached_property
    def _tower(self) -> Tower:
        if self._compiled is not None:
            self._compiled.verify()
            graph = read_graph(self._compiled.path / "model.xml")
            return CompiledTower(graph, self.preprocessing, "bfloat16" if self.precision == "bfloat16" else "float32")
        return self._torch_tower() or CompiledTower(self.graph(), self.preprocessing)

    @property
    def tower(self) -> Tower:
        """The tower in use. It encodes pictures, uint8 [n, h, w, 3], to unit vectors [n, d].

        Only one thread at a time may call it.
        """
        return self._tower

    def prepare(self, image: Pixels) -> Prepared:
        return self.preprocessing.prepare(image)

    def encode_prepared(self, prepared: Sequence[Prepared]) -> Vectors:
        if not prepared:
            return np.zeros((0, self.dimension), np.float32)
        return self._tower(stack(prepared, self.preprocessing))

    def encode_images(self, images: Sequence[Pixels]) -> Vectors:
        """Encode n pictures, uint8 [h, w, 3] RGB of any sizes, to vectors, float32 [n, d]."""
        starts = range(0, len(images), _BATCH)
        batches = [self.encode_prepared([self.prepare(image) for image in images[s : s + _BATCH]]) for s in starts]
        return np.concatenate(batches) if batches else self.encode_prepared([])

    @property
    @abstractmethod
    def quantisable(self) -> bool:
        """Whether a faster precision than float32 can be tried. Reading this property may load the model."""

    @abstractmethod
    def _read_preprocessing(self) -> Preprocessing:
        """Return the preprocessing that the model was trained with."""

    @abstractmethod
    def graph(self) -> Any:
        """Return the tower as an openvino.Model in float32. It takes pictures and gives vectors [n, d]."""

    def _torch_tower(self) -> Tower | None:
        """Return a tower that runs on a faster device than the CPU, without OpenVINO.

        Return None without such a device.
        """
        return None
