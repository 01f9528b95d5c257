"""Encode pictures and texts with CLIP models of open_clip. The weights come from the hub or from a local file."""

import importlib.util
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from thumblab_core.encoders.export import IMAGE, TEXT, ExportedText, export_image, export_text, published_export
from thumblab_core.encoders.hub import hub_in_reach
from thumblab_core.encoders.neural import NeuralEncoder, Tower, may_have_cuda
from thumblab_core.encoders.preprocessing import Preprocessing
from thumblab_core.encoders.protocol import Vectors, unit
from thumblab_core.encoders.tower import read_graph
from thumblab_core.encoders.weights import weights_digest
from thumblab_core.errors import LabError
from thumblab_core.releases.release import Release, ReleaseError
from thumblab_core.releases.release_store import ReleaseStore

_PREPROCESSING = "p1"
"""The version of this module's code for preparing pictures. It is a part of the fingerprint.

Size, mean and similar values are not part of the version, because the model and its weights determine these values.
"""

_METADATA = "thumblab"
"""The name of an entry in the header of a local safetensors checkpoint.

The entry contains the activation and the preprocessing of the model. open_clip itself has these two only for weights on
the hub.
"""


class _Loaded(NamedTuple):
    """A loaded model.

    `metadata` is what `save_checkpoint` wrote into the file of weights. `metadata` is empty for all other weights.
    """

    model: Any
    tokenizer: Any
    device: str
    quick_gelu: bool
    metadata: dict[str, Any]


class OpenClipEncoder(NeuralEncoder):
    """A CLIP model of open_clip.

    `model` is the name of an open_clip model, such as `ViT-L-14`. `weights` is a tag on the hub, such as `openai`, or
    the path of a local checkpoint.

    If the release `compiled` is given, the image tower is loaded from this release. Otherwise, torch runs the tower in
    `precision` if the machine has CUDA. Without CUDA, OpenVINO runs the tower in float32 on the CPU. To compute in a
    half precision, torch uses autocast, which keeps some operations in float32. The text tower always computes in
    float32.

    `store` may have exports of the towers, see `thumblab_core.encoders.export`. A tower that is exported needs neither
    torch nor the weights. Without exports, torch and open_clip must be installed.
    """

    near_duplicate = 0.97

    def __init__(
        self,
        model: str,
        weights: str,
        compiled: Release | None = None,
        precision: str = "float32",
        store: ReleaseStore | None = None,
    ) -> None:
        self._name = model
        self._store = store
        self._weights = weights
        # `base` is the fingerprint without the precision. It contains the digest of the file of weights, or the tag of
        # the weights on the hub. So no model is loaded to compute `base`, which saves time if there is nothing to
        # encode. For a compiled release, `base` is the scope of the release, because the file of weights may no longer
        # exist.
        base = f"open_clip-{model}-{_weights_name(weights)}-{_PREPROCESSING}" if compiled is None else compiled.scope
        super().__init__(base, compiled, precision)

    def export(self, store: ReleaseStore) -> list[Release]:
        """Publish the towers that a process without torch needs to encode pictures and texts, if they are not published
        yet.

        An export whose files are damaged is published again. An image tower that runs from a release or on CUDA is not
        exported. Return the new releases. Raises `LabError` if the model cannot be loaded, or if its text tower cannot
        be exported.
        """
        exports = []
        if self._compiled is None and not may_have_cuda() and not _is_whole(published_export(store, self.base, IMAGE)):
            exports.append(export_image(store, self.base, self._graph_of_torch(), self.preprocessing))
        if not _is_whole(published_export(store, self.base, TEXT)):
            graph, tokenizer = self._text_graph(), self._loaded.tokenizer
            exports.append(export_text(store, self.base, graph, tokenizer, self._texts_with_torch))
        return exports

    def _exported(self, tower: str) -> Release | None:
        return None if self._store is None else published_export(self._store, self.base, tower)

    @cached_property
    def _exported_image(self) -> Release | None:
        """The export of the image tower. None if the tower is not exported, or if torch may run the tower on CUDA."""
        torch_has_cuda = may_have_cuda() and importlib.util.find_spec("torch") is not None
        return None if torch_has_cuda else self._exported(IMAGE)

    @cached_property
    def _loaded(self) -> _Loaded:
        if importlib.util.find_spec("open_clip") is None:
            raise LabError(
                f"the encoder open_clip:{self._name}/{self._weights} is not exported, and PyTorch is not installed; "
                "run `thumblab refresh` on a machine with the pipelines, because a refresh exports the encoder"
            )
        import thumblab_core.encoders.torchvision_operators  # noqa: F401, I001  must come before open_clip

        import open_clip
        import torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
        unreachable = None
        try:
            if is_path(self._weights) and not Path(self._weights).is_file():
                raise FileNotFoundError("no such file")
            # OpenAI's weights were trained with the activation QuickGELU, and give wrong vectors with any other
            # activation. If the model has another activation by default, open_clip uses it and only warns. So pass the
            # right activation.
            tag, metadata = open_clip.get_pretrained_cfg(self._name, self._weights), _metadata(Path(self._weights))
            quick_gelu = bool(tag.get("quick_gelu") or metadata.get("quick_gelu"))
            text = (open_clip.get_model_config(self._name) or {}).get("text_cfg", {}) if is_path(self._weights) else {}
            # Local weights may need the hub, too, because SigLIP and multilingual models use a tokenizer from the hub.
            asks_hub = not is_path(self._weights) or text.get("hf_tokenizer_name") or text.get("hf_model_name")
            with _without_error_lines(), hub_in_reach() if asks_hub else nullcontext() as unreachable:
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
        return _Loaded(model.eval(), tokenizer, device, quick_gelu, metadata)

    @property
    def torch_model(self) -> Any:
        """The whole CLIP model in torch and float32. `.visual` is its image tower.

        To train a model, create a new encoder, because this encoder may be shared.
        """
        return self._loaded.model

    def save_checkpoint(self, path: Path) -> None:
        """Write the current weights to a `.safetensors` file.

        An encoder that is loaded from this file, as `open_clip:MODEL/PATH`, gives the same vectors.
        """
        from safetensors.torch import save_file

        # The tensors are cloned, because the format refuses tensors that share memory.
        tensors = {n: value.detach().cpu().clone().contiguous() for n, value in self.torch_model.state_dict().items()}
        metadata = {"quick_gelu": self._loaded.quick_gelu, "preprocessing": self.preprocessing.as_json()}
        save_file(tensors, path, {_METADATA: json.dumps(metadata)})

    def _read_preprocessing(self) -> Preprocessing:
        if self._exported_image is not None:
            return Preprocessing.from_json(self._exported_image.info["preprocessing"])
        model = self._loaded.model  # Loading the model makes open_clip importable, see `torchvision_operators`.
        if "preprocessing" in self._loaded.metadata:
            return Preprocessing.from_json(self._loaded.metadata["preprocessing"])

        import open_clip

        config = open_clip.get_model_preprocess_cfg(model)
        height, width = (config["size"],) * 2 if isinstance(config["size"], int) else config["size"]
        return Preprocessing.from_json(
            {
                "height": height,
                "width": width,
                "resize": config["resize_mode"],
                "interpolation": config["interpolation"],
                "mean": config["mean"],
                "std": config["std"],
            }
        )

    def graph(self) -> Any:
        if self._exported_image is not None:
            self._exported_image.verify()
            return read_graph(self._exported_image.path / "model.xml")
        return self._graph_of_torch()

    def _graph_of_torch(self) -> Any:
        import torch

        size = self.preprocessing
        pictures = torch.zeros(2, 3, size.height, size.width)
        return _converted(self._loaded.model.visual.cpu(), pictures)

    def _text_graph(self) -> Any:
        """Return the text tower as an openvino.Model. It takes tokens, int64 [n, context], and gives vectors [n, d]."""
        import torch

        loaded = self._loaded

        class Text(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.model = loaded.model

            def forward(self, tokens: torch.Tensor) -> torch.Tensor:
                vectors: torch.Tensor = self.model.encode_text(tokens)
                return vectors

        return _converted(Text(), loaded.tokenizer(["a title", "another title"]))

    @property
    def quantisable(self) -> bool:
        return self._exported_image is not None or self._loaded.device == "cpu"

    def _torch_tower(self) -> Tower | None:
        return None if self._exported_image is not None or self._loaded.device == "cpu" else self._on_cuda

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
        """Encode n texts to vectors, float32 [n, d]. The vectors are comparable with vectors of pictures.

        A text that is longer than the context length of the model is cut to that length.
        """
        return self._texts(texts)

    @cached_property
    def _texts(self) -> Callable[[Sequence[str]], Vectors]:
        """The function that encodes texts, with the exported text tower or with torch."""
        release = self._exported(TEXT)
        if release is not None:
            return ExportedText.load(release).encode
        _ = self._loaded  # This line loads the model. If loading fails, the next call looks for an export again.
        return self._texts_with_torch

    def _texts_with_torch(self, texts: Sequence[str]) -> Vectors:
        import torch

        loaded = self._loaded
        with torch.inference_mode():
            tokens = loaded.tokenizer(list(texts)).to(loaded.device)
            return unit(loaded.model.encode_text(tokens).float().cpu().numpy())


def _is_whole(export: Release | None) -> bool:
    """Return whether there is an export whose files all match their checksums."""
    try:
        if export is not None:
            export.verify()
    except ReleaseError:
        return False
    return export is not None


def _converted(module: Any, example: Any) -> Any:
    """Convert a torch module that has one input, and return the result, an `openvino.Model`.

    The model takes batches of any size. `example` is an example of the input.
    """
    import torch

    from thumblab_core.encoders.openvino_runtime import ov

    # The fast path of attention is one fused operator, which OpenVINO's converter does not support. So the fast path is
    # off during the conversion.
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns about tracing. The converter handles these cases.
            return ov.convert_model(module, example_input=example, input=[-1, *example.shape[1:]])
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)


def is_path(weights: str) -> bool:
    """Return whether `weights` is the path of a file, and not a tag on the hub.

    `weights` is a path if it contains a slash, even if there is no such file, because no tag contains a slash. A name
    without a slash is a path only if the file exists.
    """
    return "/" in weights or Path(weights).is_file()


def _weights_name(weights: str) -> str:
    """Return the text that names the weights in the encoder's fingerprint: the digest of a local file, or the tag on
    the hub.
    """
    return weights_digest(Path(weights)) if Path(weights).is_file() else weights


@contextmanager
def _without_error_lines() -> Iterator[None]:
    """Drop the errors that open_clip logs on the root logger before it raises an exception. The exception gives the
    same reason.
    """
    import open_clip

    package = str(Path(open_clip.__file__).parent)

    def keep(line: logging.LogRecord) -> bool:
        return line.levelno < logging.ERROR or not line.pathname.startswith(package)

    root = logging.getLogger()
    root.addFilter(keep)
    try:
        yield
    finally:
        root.removeFilter(keep)


def _metadata(weights: Path) -> dict[str, Any]:
    """Return what `save_checkpoint` wrote into the header of a local checkpoint. Return {} for any other weights."""
    if weights.suffix != ".safetensors" or not weights.is_file():
        return {}
    from safetensors import safe_open

    with safe_open(weights, "pt") as file:
        metadata: dict[str, Any] = json.loads((file.metadata() or {}).get(_METADATA, "{}"))
    return metadata
