"""Export the towers of an open_clip model, so that a process without PyTorch can encode pictures and texts with it.

An export is a release of kind `encoder`. Its scope is the encoder's `base`, followed by the name of the tower:

    BASE-image    model.xml and model.bin, the image tower in float32
    BASE-text     model.xml and model.bin, the text tower in float32, and tokenizer.json

The service loads these files with OpenVINO. `Preprocessing` prepares the pictures, and `ExportedText` prepares the
texts.
"""

import html
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from thumblab_core.encoders.preprocessing import Preprocessing
from thumblab_core.encoders.protocol import Vectors, unit
from thumblab_core.encoders.tower import read_graph
from thumblab_core.errors import LabError
from thumblab_core.releases.release import ENCODER, Release
from thumblab_core.releases.release_store import ReleaseStore

IMAGE, TEXT = "image", "text"
"""The two towers of a model. Their names are parts of the scopes of exports."""

LEAST_COSINE = 0.9999
"""The text tower is exported only if each vector has at least this cosine to the vector that PyTorch computes."""

_PROBES = (
    "I tested every phone of this year",
    "10 things you DIDN'T know about Rust 🦀 (don't miss #7!)",
    "Fish &amp; chips &lt;3   vs.\tramen — who&#39;s best?",
    "Größter Kuchen der Welt: 1.000 kg! ¿Qué? Крутой обзор 東京の一日",
    "",
    "very long title " * 40,
)
"""Texts with which an export is tested: capital letters, entities, emoji, other scripts, an empty text and a long
text.
"""


def published_export(store: ReleaseStore, base: str, tower: str) -> Release | None:
    """Return the newest export of an encoder's tower, or None if the tower is not exported. Only the manifests of
    releases are read.
    """
    releases = store.all(ENCODER, f"{base}-{tower}")
    return releases[-1] if releases else None


def export_image(store: ReleaseStore, base: str, graph: Any, preprocessing: Preprocessing) -> Release:
    """Publish the image tower, an openvino.Model that takes normalised pictures, float32 [n, 3, height, width]."""
    return store.publish(ENCODER, f"{base}-{IMAGE}", _writer(graph), {"preprocessing": preprocessing.as_json()})


def export_text(
    store: ReleaseStore, base: str, graph: Any, tokenizer: Any, reference: Callable[[Sequence[str]], Vectors]
) -> Release:
    """Publish the text tower, an openvino.Model that takes tokens, int64 [n, context].

    `tokenizer` is the model's own tokenizer. `reference` encodes texts with PyTorch. Raises `LabError` if the lab does
    not support the kind of the tokenizer, or if the vectors of the export differ from the vectors of `reference`.
    """
    exported = _tokenizer(tokenizer)

    def write(folder: Path) -> None:
        _writer(graph)(folder)
        exported.save(str(folder / "tokenizer.json"))
        cosines = (ExportedText(folder, tokenizer.context_length).encode(_PROBES) * reference(_PROBES)).sum(axis=1)
        if not cosines.min() >= LEAST_COSINE:
            raise LabError(
                f"the exported text tower of {base} differs from the text tower in PyTorch (cosine {cosines.min():.4f}), so "
                "it is not published; a service without PyTorch does not measure title_match"
            )

    return store.publish(ENCODER, f"{base}-{TEXT}", write, {"context": tokenizer.context_length})


class ExportedText:
    """The text tower in the folder of an export. It reads `context` tokens of a text. Any thread may use it."""

    def __init__(self, folder: Path, context: int) -> None:
        from tokenizers import Tokenizer

        from thumblab_core.encoders.openvino_runtime import ov

        self._context = context
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        config = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        self._compiled = ov.Core().compile_model(read_graph(folder / "model.xml"), "CPU", config)

    @classmethod
    def load(cls, release: Release) -> "ExportedText":
        """Verify and load an export. Raises `ReleaseError` if the export is damaged."""
        release.verify()
        return cls(release.path, int(release.info["context"]))

    def tokens(self, texts: Sequence[str]) -> npt.NDArray[np.int64]:
        """Return the tokens of n texts, int64 [n, context]. A longer text is cut, and a shorter text is filled up with
        0.
        """
        start, end = (self._tokenizer.token_to_id(name) for name in _SPECIAL)
        tokens = np.zeros((len(texts), self._context), np.int64)
        for row, text in enumerate(texts):
            ids = self._tokenizer.encode(_cleaned(text), add_special_tokens=False).ids[: self._context - 2]
            tokens[row, : len(ids) + 2] = np.array([start, *ids, end], np.int64)
        return tokens

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Encode n texts to vectors, float32 [n, d]."""
        return unit(self._compiled.create_infer_request().infer([self.tokens(texts)])[0].reshape(len(texts), -1))


_SPECIAL = ("<start_of_text>", "<end_of_text>")


def _cleaned(text: str) -> str:
    """Clean a text as open_clip's own tokenizer does."""
    from ftfy import fix_text

    return " ".join(html.unescape(html.unescape(fix_text(text))).split()).lower()


def _tokenizer(tokenizer: Any) -> Any:
    """Return open_clip's own tokenizer as a `tokenizers.Tokenizer`.

    Raises `LabError` for another kind of tokenizer, such as SigLIP's tokenizer.
    """
    from tokenizers import Regex, Tokenizer
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel, Sequence, Split

    kind = type(tokenizer).__name__
    if kind != "SimpleTokenizer" or tokenizer.clean_fn.__name__ != "_clean_lower" or tokenizer.reduction_fn:
        raise LabError(
            f"the tokenizer {kind} of this model cannot be exported; with this model, a service without PyTorch cannot "
            "measure title_match"
        )
    pairs = list(tokenizer.bpe_ranks)
    words = BPE(tokenizer.encoder, pairs, end_of_word_suffix="</w>", continuing_subword_prefix="")
    exported = Tokenizer(words)
    pattern = Regex(r"'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+")
    # `invert` keeps what the pattern matches, and removes the spaces between the matches.
    split = Split(pattern, behavior="removed", invert=True)
    exported.pre_tokenizer = Sequence([split, ByteLevel(add_prefix_space=False, use_regex=False)])
    exported.add_special_tokens(list(_SPECIAL))
    return exported


def _writer(graph: Any) -> Callable[[Path], None]:
    """Return a function that writes a graph into a folder, with weights in float32."""
    from thumblab_core.encoders.openvino_runtime import ov

    return lambda folder: ov.save_model(graph, folder / "model.xml", compress_to_fp16=False)
