"""Encode each title with a model of the package sentence-transformers, from a local folder or from the hub."""

import hashlib
import importlib.util
from collections.abc import Sequence
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from thumblab_core.encoders.hub import hub_in_reach
from thumblab_core.encoders.protocol import Vectors
from thumblab_core.encoders.weights import weights_digest
from thumblab_core.errors import LabError

_BATCH = 64


class SentenceEncoder:
    """A text encoder that runs a sentence-transformers model.

    `source` is a local path, or a name on Hugging Face's hub.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        # The fingerprint is computed without loading the model, because loading takes long and there may be nothing to
        # encode.
        self.fingerprint = f"sentence-{source.rstrip('/').rsplit('/', 1)[-1]}-{_weights_digest(source)}"

    @cached_property
    def _model(self) -> Any:
        if importlib.util.find_spec("sentence_transformers") is None:
            raise LabError(
                f"the title encoder {self._source!r} needs the package sentence-transformers, which is not installed; "
                "install thumblab[pipelines], or set THUMBLAB_TITLE_ENCODER=minilm and train again"
            )
        import thumblab_core.encoders.torchvision_operators  # noqa: F401, I001  must come before transformers

        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        unreachable = None
        try:
            with nullcontext() if Path(self._source).is_dir() else hub_in_reach() as unreachable:
                return SentenceTransformer(self._source, device="cpu")
        except Exception as error:
            raise LabError(
                f"the title encoder {self._source!r} could not be loaded ({unreachable or type(error).__name__}); "
                "set THUMBLAB_TITLE_ENCODER=minilm to use the weights installed with the lab, or give a local path"
            ) from error

    @cached_property
    def dimension(self) -> int:
        return int(self._model.get_embedding_dimension())

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Encode n texts to vectors, float32 [n, d]. The model cuts a text that has more tokens than it can read."""
        if not texts:
            return np.zeros((0, self.dimension), np.float32)
        vectors = self._model.encode(
            list(texts), batch_size=_BATCH, normalize_embeddings=True, show_progress_bar=False, convert_to_numpy=True
        )
        return np.asarray(vectors, np.float32)


def _weights_digest(folder: str) -> str:
    """Return eight hexadecimal digits that identify the weights.

    The digits are computed from the local file of weights. If there is no such file, they are computed from the name on
    the hub.
    """
    weights = Path(folder) / "model.safetensors"
    if not weights.is_file():
        return hashlib.sha256(folder.encode()).hexdigest()[:8]
    return weights_digest(weights)
