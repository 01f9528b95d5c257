"""From the name in the settings, or in a release, to the encoder; one of each per process."""

import re
from functools import lru_cache
from pathlib import Path

from thumblab_core.encoders.learnt import LearntEncoder
from thumblab_core.encoders.precision import settled
from thumblab_core.encoders.protocol import ImageEncoder, TextEncoder
from thumblab_core.errors import LabError
from thumblab_core.releases.release import ENCODER, Release
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.settings import Settings

_NAMES = "builtin, open_clip:MODEL/WEIGHTS or onnx:PATH"
_PRECISION = re.compile(r"(.+)@(bfloat16|float16|\d{8}T\d{12}Z-[0-9a-f]{8})")


def image_encoder(settings: Settings) -> ImageEncoder:
    """The image encoder that the settings ask for, at the precision that was settled for it; loads no model.

    Float32 while nothing was settled: the step that embeds does that, see `precision.settle`. Raises `LabError` when no
    encoder has that name.
    """
    return named_image_encoder(image_encoder_name(settings), settings.releases)


def image_encoder_name(settings: Settings) -> str:
    """The encoder of the settings with its precision: what a release says, so that its readers load the same."""
    name, asked = settings.image_encoder, settings.encoder_precision
    plain = named_image_encoder(name, settings.releases)
    if not isinstance(plain, LearntEncoder) or asked == "float32":
        return name
    half = cuda_precision() if name.startswith("open_clip:") else None
    if half is not None and asked in ("auto", half):
        return f"{name}@{half}"
    release = settled(ReleaseStore(settings.releases), plain.base, asked)
    return name if release is None else f"{name}@{release.release_id}"


@lru_cache(maxsize=4)
def named_image_encoder(name: str, releases: Path) -> ImageEncoder:
    """The encoder of that name that this process shares, see `new_image_encoder`."""
    return new_image_encoder(name, releases)


def new_image_encoder(name: str, releases: Path) -> ImageEncoder:
    """`builtin`, `open_clip:MODEL/WEIGHTS` or `onnx:PATH`, the latter two in float32 or at a precision.

    `NAME@RELEASE`: as the encoder release of that id in the store `releases` holds it. `NAME@bfloat16`, `NAME@float16`: by
    autocast, on CUDA only. Raises `LabError` when it is none of them, or not to be had here.
    """
    found = _PRECISION.fullmatch(name)
    name, precision = found.groups() if found else (name, None)
    kind, _, rest = name.partition(":")
    if name == "builtin":
        from thumblab_core.encoders.builtin import BuiltinEncoder

        return BuiltinEncoder()
    if kind == "open_clip" and all(rest.partition("/")):
        return _open_clip(rest, precision, releases)
    if kind == "onnx" and rest and precision not in ("bfloat16", "float16"):
        from thumblab_core.encoders.onnx import OnnxEncoder

        path = Path(rest).expanduser()
        plain = OnnxEncoder(path)
        return OnnxEncoder(path, _release(releases, plain.base, precision)) if precision else plain
    raise LabError(f"no image encoder is called {name!r}; THUMBLAB_IMAGE_ENCODER is {_NAMES}")


def weights_file(name: str) -> Path | None:
    """The file that an open_clip encoder of that name, with a precision or not, has its weights from; None for others."""
    found = _PRECISION.fullmatch(name)
    kind, _, rest = (found[1] if found else name).partition(":")
    weights = rest.partition("/")[2]
    return Path(weights) if kind == "open_clip" and weights and Path(weights).is_file() else None


def _open_clip(rest: str, precision: str | None, releases: Path) -> ImageEncoder:
    from thumblab_core.encoders.open_clip import OpenClipEncoder, is_path

    model, _, weights = rest.partition("/")
    if precision is None:
        return OpenClipEncoder(model, weights)
    if precision in ("bfloat16", "float16"):
        if cuda_precision() is None:
            raise LabError(f"open_clip:{rest} was computed in {precision} on CUDA, which this machine has not")
        return OpenClipEncoder(model, weights, precision=precision)
    base = OpenClipEncoder(model, weights).base
    if is_path(weights) and not Path(weights).is_file():  # nothing tells what it was made of but the release itself
        base = next((path.parent.name for path in (releases / ENCODER).glob(f"open_clip-{model}-*/{precision}")), base)
    return OpenClipEncoder(model, weights, _release(releases, base, precision))


def _release(releases: Path, base: str, release_id: str) -> Release:
    return ReleaseStore(releases).get(ENCODER, base, release_id)


def cuda_precision() -> str | None:
    """The half precision that this machine's CUDA computes in; None without CUDA, which is seen without loading torch."""
    if not any(Path(device).exists() for device in ("/dev/nvidiactl", "/dev/dxg")):
        return None
    import torch

    if not torch.cuda.is_available():
        return None
    return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"


@lru_cache(maxsize=2)
def title_encoder(name: str) -> TextEncoder:
    """`minilm`, or a path or hub name for sentence-transformers. Raises `LabError` when it cannot be loaded."""
    from thumblab_core.encoders.minilm import SentenceEncoder

    return SentenceEncoder(name)
