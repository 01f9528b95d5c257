"""CLIP image and text towers through open_clip, with weights from its hub or from a local file."""

import json
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from thumblab_core.encoders.hub import hub_in_reach
from thumblab_core.encoders.learnt import LearntEncoder, Tower
from thumblab_core.encoders.preprocessing import Preprocessing
from thumblab_core.encoders.protocol import Vectors, unit
from thumblab_core.encoders.weights import weights_digest
from thumblab_core.errors import LabError
from thumblab_core.releases.release import Release

_PREPROCESSING = "p1"
"""Of how this module prepares pictures; mean, size and the like follow from model and weights."""

_METADATA = "thumblab"
"""The entry of a checkpoint's safetensors header that says what open_clip would know only of its own hub's weights."""


class _Loaded(NamedTuple):
    model: Any
    tokenizer: Any
    device: str
    quick_gelu: bool
    said: dict[str, Any]


class OpenClipEncoder(LearntEncoder):
    """`model` is an open_clip model name (`ViT-L-14`), `weights` a tag of its hub (`openai`) or a local checkpoint.

    The image tower runs as `compiled` says, else in float32; on CUDA in torch, with `precision` by autocast. The text
    tower, which sees a title now and then, always runs in torch and float32.
    """

    near_duplicate = 0.97

    def __init__(self, model: str, weights: str, compiled: Release | None = None, precision: str = "float32") -> None:
        self._name = model
        self._weights = weights
        # Known without loading the model: a run with nothing new to encode must not pay for it. What was compiled knows it
        # by itself: the file of the weights, which only the text tower needs then, may be gone.
        base = f"open_clip-{model}-{_weights_name(weights)}-{_PREPROCESSING}" if compiled is None else compiled.scope
        super().__init__(base, compiled, precision)

    @cached_property
    def _loaded(self) -> _Loaded:
        import thumblab_core.encoders.torchvision_operators  # noqa: F401, I001  before open_clip imports torchvision

        import open_clip
        import torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
        unreachable = None
        try:
            if is_path(self._weights) and not Path(self._weights).is_file():
                raise FileNotFoundError("no such file")
            # OpenAI's weights were trained with QuickGELU, which open_clip only warns of when the model's name lacks it.
            tag, said = open_clip.get_pretrained_cfg(self._name, self._weights), _said(Path(self._weights))
            quick_gelu = bool(tag.get("quick_gelu") or said.get("quick_gelu"))
            text = (open_clip.get_model_config(self._name) or {}).get("text_cfg", {}) if is_path(self._weights) else {}
            # With local weights too: the texts of SigLIP and of multilingual models are cut by a tokenizer of the hub.
            asks_hub = not is_path(self._weights) or text.get("hf_tokenizer_name") or text.get("hf_model_name")
            with hub_in_reach() if asks_hub else nullcontext() as unreachable:
                model, _, _ = open_clip.create_model_and_transforms(
                    self._name,
                    pretrained=self._weights,
                    device=device,
                    force_quick_gelu=quick_gelu,
                )
                tokenizer = open_clip.get_tokenizer(self._name)
        except Exception as error:
            raise LabError(
                f"the image encoder {self._name}/{self._weights} could not be loaded "
                f"({unreachable or f'{type(error).__name__}: {str(error)[:200]}'}); give a local checkpoint "
                "(THUMBLAB_IMAGE_ENCODER=open_clip:MODEL//path/to/file) or set THUMBLAB_IMAGE_ENCODER=builtin"
            ) from error
        return _Loaded(model.eval(), tokenizer, device, quick_gelu, said)

    @property
    def torch_model(self) -> Any:
        """The whole CLIP in torch and float32; `.visual` is its image tower. Whoever trains it makes one of his own."""
        return self._loaded.model

    def save_checkpoint(self, path: Path) -> None:
        """Write the weights as they are now to a `.safetensors` file, which `open_clip:MODEL/PATH` computes alike."""
        from safetensors.torch import save_file

        # Copied: the format refuses tensors that share their memory.
        tensors = {n: value.detach().cpu().clone().contiguous() for n, value in self.torch_model.state_dict().items()}
        said = {"quick_gelu": self._loaded.quick_gelu, "preprocessing": self.preprocessing.as_json()}
        save_file(tensors, path, {_METADATA: json.dumps(said)})

    def _read_preprocessing(self) -> Preprocessing:
        model = self._loaded.model  # first: it makes open_clip importable
        if "preprocessing" in self._loaded.said:
            return Preprocessing.from_json(self._loaded.said["preprocessing"])

        import open_clip

        said = open_clip.get_model_preprocess_cfg(model)
        height, width = (said["size"],) * 2 if isinstance(said["size"], int) else said["size"]
        return Preprocessing.from_json(
            {
                "height": height,
                "width": width,
                "resize": said["resize_mode"],
                "interpolation": said["interpolation"],
                "mean": said["mean"],
                "std": said["std"],
            }
        )

    def graph(self) -> Any:
        import torch

        from thumblab_core.encoders.openvino_runtime import ov

        size = self.preprocessing
        # Attention's fast path is one fused operator, which the converter does not know.
        fast = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(False)
        try:
            with torch.inference_mode(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of torch, about tracing, which is the converter's affair
                return ov.convert_model(
                    self._loaded.model.visual.cpu(),
                    example_input=torch.zeros(2, 3, size.height, size.width),
                    input=[-1, 3, size.height, size.width],
                )
        finally:
            torch.backends.mha.set_fastpath_enabled(fast)

    @property
    def quantisable(self) -> bool:
        return self._loaded.device == "cpu"

    def _torch_tower(self) -> Tower | None:
        return None if self._loaded.device == "cpu" else self._on_cuda

    def _on_cuda(self, batch: npt.NDArray[np.uint8]) -> Vectors:
        import torch

        size = self.preprocessing
        assert size.mean is not None and size.std is not None
        pixels = torch.from_numpy(batch).to("cuda", non_blocking=True).permute(0, 3, 1, 2).float() / 255
        mean, std = (torch.tensor(values, device="cuda")[:, None, None] for values in (size.mean, size.std))
        kind = {"bfloat16": torch.bfloat16, "float16": torch.float16}.get(self.precision)
        with torch.inference_mode(), torch.autocast("cuda", dtype=kind, enabled=kind is not None):
            return unit(self._loaded.model.encode_image((pixels - mean) / std).float().cpu().numpy())

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Encode n texts to float32 [n, d], in the pictures' own space; texts past the model's context are cut."""
        import torch

        loaded = self._loaded
        with torch.inference_mode():
            tokens = loaded.tokenizer(list(texts)).to(loaded.device)
            return unit(loaded.model.encode_text(tokens).float().cpu().numpy())


def is_path(weights: str) -> bool:
    """Whether the weights are a file, there or not; the tags of the hub have no slash."""
    return "/" in weights or Path(weights).is_file()


def _weights_name(weights: str) -> str:
    """A hub tag stands for itself."""
    return weights_digest(Path(weights)) if Path(weights).is_file() else weights


def _said(weights: Path) -> dict[str, Any]:
    """What `save_checkpoint` wrote into a local checkpoint beside its tensors; nothing of any other."""
    if weights.suffix != ".safetensors" or not weights.is_file():
        return {}
    from safetensors import safe_open

    with safe_open(weights, "pt") as file:
        said: dict[str, Any] = json.loads((file.metadata() or {}).get(_METADATA, "{}"))
    return said
