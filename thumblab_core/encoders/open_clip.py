"""CLIP image and text towers through open_clip, with weights from its hub or from a local file."""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from thumblab_core.encoders.protocol import Vectors, unit
from thumblab_core.errors import LabError
from thumblab_core.images import Pixels

_BATCH = 16


class _Loaded(NamedTuple):
    model: Any
    preprocess: Any
    tokenizer: Any
    device: str


class OpenClipEncoder:
    """`model` is an open_clip model name (`ViT-L-14`), `weights` a tag of its hub (`openai`) or a local checkpoint."""

    near_duplicate = 0.97

    def __init__(self, model: str, weights: str) -> None:
        self._name = model
        self._weights = weights
        # Known without loading the model: a run with nothing new to encode must not pay for it.
        self.fingerprint = f"open_clip-{model}-{_weights_name(weights)}"

    @cached_property
    def _loaded(self) -> _Loaded:
        import thumblab_core.encoders.torchvision_operators  # noqa: F401, I001  before open_clip imports torchvision

        import open_clip
        import torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            # OpenAI's weights were trained with QuickGELU, which open_clip only warns of when the model's name lacks it.
            tag = open_clip.get_pretrained_cfg(self._name, self._weights)
            model, _, preprocess = open_clip.create_model_and_transforms(
                self._name,
                pretrained=self._weights,
                device=device,
                force_quick_gelu=bool(tag.get("quick_gelu")),
            )
            tokenizer = open_clip.get_tokenizer(self._name)
        except Exception as error:
            raise LabError(
                f"the image encoder {self._name}/{self._weights} could not be loaded ({type(error).__name__}: "
                f"{str(error)[:200]}); its hub may be out of reach: give a local checkpoint "
                "(THUMBLAB_IMAGE_ENCODER=open_clip:MODEL//path/to/file) or set THUMBLAB_IMAGE_ENCODER=builtin"
            ) from error
        return _Loaded(model.eval(), preprocess, tokenizer, device)

    @cached_property
    def dimension(self) -> int:
        return int(self.encode_texts(["a"]).shape[1])

    def encode_images(self, images: Sequence[Pixels]) -> Vectors:
        import torch
        from PIL import Image

        model, preprocess, _, device = self._loaded
        batches = []
        for start in range(0, len(images), _BATCH):
            pictures = [preprocess(Image.fromarray(image)) for image in images[start : start + _BATCH]]
            with torch.inference_mode():
                batches.append(model.encode_image(torch.stack(pictures).to(device)).float().cpu().numpy())
        return unit(np.concatenate(batches)) if batches else np.zeros((0, self.dimension), np.float32)

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        import torch

        model, _, tokenizer, device = self._loaded
        with torch.inference_mode():
            return unit(model.encode_text(tokenizer(list(texts)).to(device)).float().cpu().numpy())


def _weights_name(weights: str) -> str:
    """A hub tag stands for itself; a local file is named by what is in it, because its name promises nothing."""
    path = Path(weights)
    if not path.is_file():
        return weights
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:8]
