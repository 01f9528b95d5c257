"""Run a BERT network with OpenVINO. Import this module only where it is used, because importing OpenVINO takes time."""

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file

from thumblab_core.encoders.openvino_runtime import ov
from thumblab_core.encoders.protocol import Vectors

from openvino import opset13 as ops  # isort: skip  # `openvino_runtime` must be imported before this line

Tokens = npt.NDArray[np.int64]

_HIDDEN = -1e9
"""The number that is added to each attention score of a padding token, so that the token gets no weight."""


class Bert:
    """A BERT network. The vector of a text is the mean of the vectors of its tokens, scaled to length 1.

    `folder` contains `config.json` and `model.safetensors`, in the form of the package transformers.
    """

    def __init__(self, folder: Path) -> None:
        graph = _Graph(json.loads((folder / "config.json").read_text()), load_file(folder / "model.safetensors"))
        config = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        self._compiled = ov.Core().compile_model(graph.model(), "CPU", config)
        self._one_at_a_time = threading.Lock()

    def encode(self, ids: Tokens, mask: Tokens) -> Vectors:
        """Return the vectors of n texts, float32 [n, d]. Any thread may call this.

        `ids`, [n, t], are the token ids of each text, padded to equal length. `mask`, [n, t], is 0 at padding, and 1
        elsewhere.
        """
        with self._one_at_a_time:
            vectors: Vectors = self._compiled([ids, mask])[0]
        return vectors


class _Graph:
    """The network as a graph of OpenVINO's operators. `weights` has the arrays of the network, each under its name."""

    def __init__(self, config: dict[str, Any], weights: dict[str, npt.NDArray[np.float32]]) -> None:
        self._heads: int = config["num_attention_heads"]
        self._layers: int = config["num_hidden_layers"]
        self._epsilon: float = config["layer_norm_eps"]
        self._weights = weights

    def model(self) -> Any:
        """Return an openvino.Model that takes `ids` and `mask`, int64 [n, t] each, and gives vectors [n, d]."""
        ids, mask = (ops.parameter([-1, -1], np.int64, name=name) for name in ("ids", "mask"))
        first, second = _integer(0), _integer(1)
        words, types, positions = (
            self._weights[f"embeddings.{name}_embeddings.weight"] for name in ("word", "token_type", "position")
        )
        length = ops.gather(ops.shape_of(ids), second, first)
        places = ops.gather(
            ops.constant(positions + types[0]), ops.range(first, length, second, output_type="i64"), first
        )
        hidden = self._normed("embeddings", ops.add(ops.gather(ops.constant(words), ids, first), places))
        is_token = ops.convert(mask, "f32")
        padding = ops.multiply(ops.subtract(_number(1), is_token), _number(_HIDDEN))
        padding = ops.unsqueeze(ops.unsqueeze(padding, second), second)  # [n, 1, 1, t]
        for number in range(self._layers):
            hidden = self._layer(f"encoder.layer.{number}", hidden, padding)
        counted = ops.unsqueeze(is_token, _integer(2))
        total = ops.reduce_sum(ops.multiply(hidden, counted), second)
        mean = ops.divide(total, ops.reduce_sum(counted, second))
        return ov.Model([ops.normalize_l2(mean, _integers(1), 1e-24, "max")], [ids, mask])

    def _layer(self, name: str, hidden: Any, padding: Any) -> Any:
        query, key, value = (
            self._by_head(self._linear(f"{name}.attention.self.{part}", hidden)) for part in ("query", "key", "value")
        )
        mixed = ops.scaled_dot_product_attention(query, key, value, padding)  # [n, heads, t, d / heads]
        mixed = ops.reshape(ops.transpose(mixed, _integers(0, 2, 1, 3)), _integers(0, 0, -1), True)
        mixed = self._linear(f"{name}.attention.output.dense", mixed)
        hidden = self._normed(f"{name}.attention.output", ops.add(mixed, hidden))
        inner = ops.gelu(self._linear(f"{name}.intermediate.dense", hidden), "erf")
        return self._normed(f"{name}.output", ops.add(self._linear(f"{name}.output.dense", inner), hidden))

    def _by_head(self, values: Any) -> Any:
        """Divide the `values` of tokens, [n, t, d], among the attention heads. Return [n, heads, t, d / heads]."""
        return ops.transpose(ops.reshape(values, _integers(0, 0, self._heads, -1), True), _integers(0, 2, 1, 3))

    def _linear(self, name: str, values: Any) -> Any:
        weight, bias = (ops.constant(self._weights[f"{name}.{part}"]) for part in ("weight", "bias"))
        return ops.add(ops.matmul(values, weight, False, True), bias)

    def _normed(self, name: str, values: Any) -> Any:
        weight, bias = (ops.constant(self._weights[f"{name}.LayerNorm.{part}"]) for part in ("weight", "bias"))
        normed = ops.mvn(values, _integers(-1), True, self._epsilon, "inside_sqrt")
        return ops.add(ops.multiply(normed, weight), bias)


def _number(value: float) -> Any:
    return ops.constant(np.float32(value))


def _integer(value: int) -> Any:
    return ops.constant(np.int64(value))


def _integers(*values: int) -> Any:
    return ops.constant(np.array(values, np.int64))
