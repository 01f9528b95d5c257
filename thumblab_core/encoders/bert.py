"""Run a BERT network with PyTorch. Import this module only where it is used, because importing PyTorch takes a second."""

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import embedding, gelu, layer_norm, linear, normalize, scaled_dot_product_attention

from thumblab_core.encoders.protocol import Vectors

Tokens = npt.NDArray[np.int64]


class Bert:
    """A BERT network. The vector of a text is the mean of the vectors of its tokens, scaled to length 1.

    `folder` holds `config.json` and `model.safetensors`, in the form of the package transformers.
    """

    def __init__(self, folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        self._heads: int = config["num_attention_heads"]
        self._layers: int = config["num_hidden_layers"]
        self._epsilon: float = config["layer_norm_eps"]
        self._weights: dict[str, Tensor] = load_file(folder / "model.safetensors")

    @torch.inference_mode()
    def encode(self, ids: Tokens, mask: Tokens) -> Vectors:
        """Return the vectors of n texts, float32 [n, d].

        `ids`, [n, t], are the numbers of the tokens of each text, padded to equal length. `mask`, [n, t], is 0 at
        padding, and 1 elsewhere.
        """
        words, types, positions = (
            self._weights[f"embeddings.{name}_embeddings.weight"] for name in ("word", "token_type", "position")
        )
        hidden = embedding(torch.from_numpy(ids), words) + types[0] + positions[: ids.shape[1]]
        hidden = self._normed("embeddings", hidden)
        is_token = torch.from_numpy(mask)
        attended = None if mask.all() else is_token.bool()[:, None, None, :].expand(-1, 1, ids.shape[1], -1)
        for number in range(self._layers):
            hidden = self._layer(f"encoder.layer.{number}", hidden, attended)
        weights = is_token[:, :, None].float()
        vectors: Vectors = normalize((hidden * weights).sum(1) / weights.sum(1), dim=1).numpy()
        return vectors

    def _layer(self, name: str, hidden: Tensor, attended: Tensor | None) -> Tensor:
        query, key, value = (
            self._linear(f"{name}.attention.self.{part}", hidden)
            .view(*hidden.shape[:2], self._heads, -1)
            .transpose(1, 2)
            for part in ("query", "key", "value")
        )
        mixed = scaled_dot_product_attention(query, key, value, attn_mask=attended).transpose(1, 2).flatten(2)
        mixed = self._linear(f"{name}.attention.output.dense", mixed)
        hidden = self._normed(f"{name}.attention.output", mixed + hidden)
        inner = gelu(self._linear(f"{name}.intermediate.dense", hidden))
        return self._normed(f"{name}.output", self._linear(f"{name}.output.dense", inner) + hidden)

    def _linear(self, name: str, values: Tensor) -> Tensor:
        return linear(values, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"])

    def _normed(self, name: str, values: Tensor) -> Tensor:
        weight, bias = (self._weights[f"{name}.LayerNorm.{part}"] for part in ("weight", "bias"))
        return layer_norm(values, weight.shape, weight, bias, self._epsilon)
