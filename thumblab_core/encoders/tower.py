"""Run an image tower with OpenVINO, which compiles it for this CPU.

An image tower is the part of a model that encodes pictures. It takes uint8 pictures and gives unit vectors.
"""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from thumblab_core.encoders.preprocessing import Preprocessing
from thumblab_core.encoders.protocol import Vectors, unit
from thumblab_core.errors import LabError

Execution = Literal["float32", "bfloat16"]
"""The number format in which operations that are not quantised are computed."""

_HINTS = {"float32": "f32", "bfloat16": "bf16"}


class CompiledTower:
    """A compiled graph that encodes batches of pictures. Only one thread at a time may call it.

    The graph has one input and one output. The input is pictures, as uint8 or as normalised float32.
    """

    def __init__(self, graph: Any, preprocessing: Preprocessing, execution: Execution = "float32") -> None:
        from thumblab_core.encoders.openvino_runtime import ov

        self._fixed_batch = _fixed_batch(graph)
        hint = "THROUGHPUT" if self._fixed_batch else "LATENCY"
        config = {"INFERENCE_PRECISION_HINT": _HINTS[execution], "PERFORMANCE_HINT": hint}
        self._compiled = ov.Core().compile_model(_with_uint8_input(graph, preprocessing), "CPU", config)
        # A graph with a fixed batch size cannot take larger batches. So a larger batch is divided, and its parts are
        # run in parallel.
        self._queue = ov.AsyncInferQueue(self._compiled) if self._fixed_batch else None

    def __call__(self, batch: npt.NDArray[np.uint8]) -> Vectors:
        """Encode pictures, uint8 [n, h, w, 3], to vectors, float32 [n, d]. Every row that is `usable` has length 1."""
        outputs = self._in_fixed_batches(batch) if self._queue is not None else self.forward(batch)
        return unit(outputs.reshape(len(batch), -1))

    def forward(self, batch: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        """Run only the forward pass. The vectors are not scaled to unit length.

        The benchmarks measure how long the forward pass takes.
        """
        outputs: npt.NDArray[Any] = self._compiled(batch)[0]
        return outputs

    def _in_fixed_batches(self, batch: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        assert self._fixed_batch is not None and self._queue is not None
        # Copies of the last picture fill the last batch up to the fixed batch size.
        padded = np.concatenate([batch, np.repeat(batch[-1:], -len(batch) % self._fixed_batch, axis=0)])
        outputs: list[npt.NDArray[Any] | None] = [None] * (len(padded) // self._fixed_batch)

        def keep(request: Any, run: int) -> None:
            outputs[run] = request.get_output_tensor(0).data.reshape(self._fixed_batch, -1).copy()

        self._queue.set_callback(keep)
        for run in range(len(outputs)):
            self._queue.start_async(padded[run * self._fixed_batch : (run + 1) * self._fixed_batch], run)
        self._queue.wait_all()
        return np.concatenate([output for output in outputs if output is not None])[: len(batch)]


def read_graph(path: Path) -> Any:
    """Read a model file in OpenVINO's own format (IR) or in ONNX. Raises `LabError` if the file is neither."""
    from thumblab_core.encoders.openvino_runtime import ov

    try:
        return ov.Core().read_model(path)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1][:200]
        raise LabError(f"{path} is not a model that OpenVINO can read ({reason})") from None


def takes_bytes(graph: Any) -> bool:
    """Return whether the graph takes pictures as uint8. Such a graph normalises the pictures itself, and is not
    quantised again.
    """
    return str(graph.input(0).get_element_type().get_type_name()) == "u8"


def channels_last(graph: Any) -> bool:
    """Return True for an input of [n, h, w, 3] and False for [n, 3, h, w]. Raises `LabError` for any other shape."""
    shape = graph.input(0).get_partial_shape()
    sides = [shape[axis].get_length() if shape[axis].is_static else None for axis in range(len(shape))]
    if len(sides) == 4 and sides[1] == 3:
        return False
    if len(sides) == 4 and sides[3] == 3:
        return True
    raise LabError(f"the model takes {shape}; an image encoder takes [n, 3, height, width] or [n, height, width, 3]")


def _fixed_batch(graph: Any) -> int | None:
    """Return the batch size that the graph requires, or None if it takes batches of any size."""
    first = graph.input(0).get_partial_shape()[0]
    return int(first.get_length()) if first.is_static else None


def _with_uint8_input(graph: Any, preprocessing: Preprocessing) -> Any:
    """Return a graph that takes pictures as uint8 [n, h, w, 3] and normalises them itself.

    Its input then has a quarter of the bytes that float32 would have.
    """
    from openvino import Layout, Type
    from openvino.preprocess import PrePostProcessor

    model = graph.clone()  # The graph is copied, because PrePostProcessor changes its argument.
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
    """Normalise pictures, uint8 [n, h, w, 3], to float32 [n, 3, h, w], for a graph that does not take uint8."""
    pixels: npt.NDArray[Any] = batch.astype(np.float32)
    if preprocessing.mean is not None and preprocessing.std is not None:
        mean, std = np.array(preprocessing.mean, np.float32), np.array(preprocessing.std, np.float32)
        pixels = (pixels / 255 - mean) / std
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), np.float32)
