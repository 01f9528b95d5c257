"""An image tower in OpenVINO, compiled for this CPU: uint8 pictures in, unit vectors out."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from thumblab_core.encoders.preprocessing import Preprocessing
from thumblab_core.encoders.protocol import Vectors, unit
from thumblab_core.errors import LabError

Execution = Literal["float32", "bfloat16"]
"""What the operations that are not quantised are computed in."""

_HINTS = {"float32": "f32", "bfloat16": "bf16"}


class CompiledTower:
    """A graph (one input: pictures as bytes or as normalised float32; one output) ready to run. For one caller at a time."""

    def __init__(self, graph: Any, preprocessing: Preprocessing, execution: Execution = "float32") -> None:
        from thumblab_core.encoders.openvino_runtime import ov

        self._preprocessing = preprocessing
        self._fixed = _fixed_batch(graph)
        hint = "THROUGHPUT" if self._fixed else "LATENCY"
        config = {"INFERENCE_PRECISION_HINT": _HINTS[execution], "PERFORMANCE_HINT": hint}
        self._compiled = ov.Core().compile_model(_taking_bytes(graph, preprocessing), "CPU", config)
        # A graph whose batch cannot be changed is run several times at once instead.
        self._queue = ov.AsyncInferQueue(self._compiled) if self._fixed else None

    def __call__(self, batch: npt.NDArray[np.uint8]) -> Vectors:
        """uint8 [n, h, w, 3] to float32 [n, d], every row of length 1 that is `usable`."""
        found = self._one_by_one(batch) if self._queue is not None else self.forward(batch)
        return unit(found.reshape(len(batch), -1))

    def forward(self, batch: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        """The bare forward pass, as the benchmarks measure it."""
        found: npt.NDArray[Any] = self._compiled(batch)[0]
        return found

    def _one_by_one(self, batch: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        assert self._fixed is not None and self._queue is not None
        # Whole runs of the fixed size: the last one is filled up with its own last picture.
        padded = np.concatenate([batch, np.repeat(batch[-1:], -len(batch) % self._fixed, axis=0)])
        found: list[npt.NDArray[Any] | None] = [None] * (len(padded) // self._fixed)

        def keep(request: Any, place: int) -> None:
            found[place] = request.get_output_tensor(0).data.reshape(self._fixed, -1).copy()

        self._queue.set_callback(keep)
        for place in range(len(found)):
            self._queue.start_async(padded[place * self._fixed : (place + 1) * self._fixed], place)
        self._queue.wait_all()
        return np.concatenate([part for part in found if part is not None])[: len(batch)]


def read_graph(path: Path) -> Any:
    """Read an OpenVINO IR or ONNX file. Raises `LabError` when it is neither."""
    from thumblab_core.encoders.openvino_runtime import ov

    try:
        return ov.Core().read_model(path)
    except RuntimeError as error:
        raise LabError(
            f"{path} is no model that OpenVINO can read ({str(error).strip().splitlines()[-1][:200]})"
        ) from None


def takes_bytes(graph: Any) -> bool:
    """Whether the graph takes pictures as uint8, so that there is nothing left to normalise or to quantise."""
    return str(graph.input(0).get_element_type().get_type_name()) == "u8"


def channels_last(graph: Any) -> bool:
    """Whether the pictures are [n, h, w, 3] and not [n, 3, h, w]. Raises `LabError` when they are neither."""
    shape = graph.input(0).get_partial_shape()
    sides = [shape[axis].get_length() if shape[axis].is_static else None for axis in range(len(shape))]
    if len(sides) == 4 and sides[1] == 3:
        return False
    if len(sides) == 4 and sides[3] == 3:
        return True
    raise LabError(f"the model takes {shape}; an image encoder takes [n, 3, height, width] or [n, height, width, 3]")


def _fixed_batch(graph: Any) -> int | None:
    first = graph.input(0).get_partial_shape()[0]
    return int(first.get_length()) if first.is_static else None


def _taking_bytes(graph: Any, preprocessing: Preprocessing) -> Any:
    """The graph with uint8 [n, h, w, 3] as its input, normalising inside: a quarter of the bytes to move."""
    from openvino import Layout, Type
    from openvino.preprocess import PrePostProcessor

    model = graph.clone()  # the processor changes what it is given
    pipeline = PrePostProcessor(model)
    pipeline.input().tensor().set_element_type(Type.u8).set_layout(Layout("NHWC"))
    pipeline.input().model().set_layout(Layout("NHWC" if channels_last(graph) else "NCHW"))
    if not takes_bytes(graph):
        steps = pipeline.input().preprocess().convert_element_type(Type.f32)
        if preprocessing.mean is not None and preprocessing.std is not None:
            steps.mean([255 * value for value in preprocessing.mean])
            steps.scale([255 * value for value in preprocessing.std])
    return pipeline.build()


def normalised(batch: npt.NDArray[np.uint8], preprocessing: Preprocessing) -> npt.NDArray[np.float32]:
    """uint8 [n, h, w, 3] as the float32 [n, 3, h, w] that a graph takes which does not take bytes."""
    pixels: npt.NDArray[Any] = batch.astype(np.float32)
    if preprocessing.mean is not None and preprocessing.std is not None:
        mean, std = np.array(preprocessing.mean, np.float32), np.array(preprocessing.std, np.float32)
        pixels = (pixels / 255 - mean) / std
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), np.float32)
