"""The interface of face embedders, and a face embedder that runs an ONNX file with OpenVINO.

A face embedder turns aligned faces into unit vectors. The cosine of two vectors says how alike the two faces are. Each
embedder has its own limit above which two faces count as the same person.
"""

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from thumblab_core.encoders.preprocessing import Preprocessing
from thumblab_core.encoders.protocol import Vectors
from thumblab_core.encoders.tower import CompiledTower, read_graph
from thumblab_core.encoders.weights import weights_digest
from thumblab_core.errors import LabError
from thumblab_core.faces.alignment import SIDE
from thumblab_core.model_files import SFACE

Crops = npt.NDArray[np.uint8]
"""Aligned faces, uint8 [n, 112, 112, 3] RGB."""

BATCH = 32
"""The largest number of faces that are embedded at once. This number limits the memory that is used."""

_ARCFACE = Preprocessing(SIDE, SIDE, "squash", "bilinear", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
"""The scaling of ArcFace and MobileFaceNet: (x - 127.5) / 127.5 for channels from 0 to 255."""
_UNSCALED = Preprocessing(SIDE, SIDE, "squash", "bilinear", None, None)
"""The scaling of SFace, whose network takes channels from 0 to 255 and scales them itself."""
_UNSCALED_NAME = "unscaled"


class FaceEmbedder(Protocol):
    """A network that turns aligned faces into unit vectors. Only one thread at a time may call `embed`."""

    @property
    def fingerprint(self) -> str:
        """A name for the weights and the scaling of the input. Only vectors of equal fingerprints are comparable."""
        ...

    @property
    def dimension(self) -> int: ...

    def embed(self, crops: Crops) -> Vectors:
        """Turn aligned faces, uint8 [n, 112, 112, 3] RGB, into vectors, float32 [n, d].

        If the network fails on a face, the row of this face is not a unit vector. The function
        `thumblab_core.encoders.protocol.usable` says for each row whether it is a unit vector.
        """
        ...


class OnnxFaceEmbedder:
    """A face embedder from an ONNX file: one input of [n, 3, 112, 112] RGB, and one output of d numbers per face.

    SFace is recognised by its digest and gets channels from 0 to 255. Every other file gets the scaling of ArcFace.
    Raises `LabError` if the file is not a network with this input and output.
    """

    def __init__(self, path: Path) -> None:
        self.fingerprint = embedder_fingerprint(path)
        unscaled = self.fingerprint.endswith(_UNSCALED_NAME)
        graph = read_graph(path)
        _check(graph, path)
        # Embedding one face at a time on each core takes less time than embedding larger batches on all cores.
        graph.reshape([1, 3, SIDE, SIDE])
        self._tower = CompiledTower(graph, _UNSCALED if unscaled else _ARCFACE)
        self.dimension = int(self._tower(np.zeros((1, SIDE, SIDE, 3), np.uint8)).shape[1])

    def embed(self, crops: Crops) -> Vectors:
        if not len(crops):
            return np.zeros((0, self.dimension), np.float32)
        starts = range(0, len(crops), BATCH)
        return np.concatenate([self._tower(crops[start : start + BATCH]) for start in starts])


def embedder_fingerprint(path: Path) -> str:
    """Return the fingerprint of a face embedder without loading it. Raises `LabError` if the file cannot be read."""
    try:
        weights = weights_digest(path)
    except OSError as error:
        raise LabError(
            f"the face embedder {path} cannot be read ({error.strerror}); restore the file or correct "
            "THUMBLAB_FACE_EMBEDDER"
        ) from None
    return f"face-{weights}-{_UNSCALED_NAME if SFACE.sha256.startswith(weights) else 'arcface'}"


def _check(graph: Any, path: Path) -> None:
    """Raise `LabError` unless the graph takes float32 pictures of 112 x 112 pixels and has one output."""
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise LabError(
            f"{path} has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs; a face embedder has 1 input and "
            "1 output"
        )
    shape, kind = graph.input(0).get_partial_shape(), graph.input(0).get_element_type().get_type_name()
    sides = [shape[axis].get_length() if shape[axis].is_static else None for axis in range(1, len(shape))]
    if kind != "f32" or sides not in ([3, SIDE, SIDE], [3, None, None]):
        raise LabError(f"{path} takes {kind} {shape}; a face embedder takes f32 [n, 3, {SIDE}, {SIDE}]")
