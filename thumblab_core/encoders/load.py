"""Create the encoder whose name is in the settings or in a release. All code of a process shares one encoder for each
name.
"""

import importlib.util
from functools import lru_cache
from pathlib import Path

from thumblab_core.encoders.names import is_encoder_name, name_help, split_precision
from thumblab_core.encoders.neural import NeuralEncoder, may_have_cuda
from thumblab_core.encoders.precision import published_choice
from thumblab_core.encoders.protocol import ImageEncoder, TextEncoder
from thumblab_core.errors import LabError
from thumblab_core.releases.place import release_place
from thumblab_core.releases.release import ENCODER, Release
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.releases.scope import ScopePlaces
from thumblab_core.settings import Settings


def image_encoder(settings: Settings) -> ImageEncoder:
    """Return the image encoder that the settings name, in the precision that was chosen for it.

    The precision is float32 until pictures are embedded. Then `precision.choose_precision` chooses the precision.
    Raises `LabError` if no encoder has that name. This function loads no model.
    """
    return named_image_encoder(image_encoder_name(settings), release_place(settings))


def image_encoder_name(settings: Settings) -> str:
    """Return the full name of the image encoder in the settings: its name, followed by the precision that was chosen
    for it.

    Releases store this name, so that their readers can load the same encoder.
    """
    name, precision = settings.image_encoder, settings.encoder_precision
    plain = named_image_encoder(name, release_place(settings))
    if not isinstance(plain, NeuralEncoder) or precision == "float32":
        return name
    half = cuda_precision() if name.startswith("open_clip:") else None
    if half is not None and precision in ("auto", half):
        return f"{name}@{half}"
    release = published_choice(ReleaseStore(release_place(settings)), plain.base, precision)
    return name if release is None else f"{name}@{release.release_id}"


def encoder_folder(settings: Settings, encoder: ImageEncoder) -> Path:
    """Return the absolute path of the folder in which the workers of a Ray cluster find the releases of `encoder`.

    The workers have no credentials for an object store. So this function first copies the releases to the cache in the
    data folder.
    """
    place = release_place(settings)
    if isinstance(place, Path):
        return place.resolve()
    if settings.ray_address and isinstance(encoder, NeuralEncoder):
        store = ReleaseStore(place)
        for scope in [scope for _, scope in store.scopes(ENCODER) if scope.startswith(encoder.base)]:
            for release in store.all(ENCODER, scope):
                _ = release.path  # Reading the property `path` copies the files of the release.
    return settings.release_cache.resolve()


@lru_cache(maxsize=4)
def named_image_encoder(name: str, releases: Path | ScopePlaces) -> ImageEncoder:
    """Return the encoder called `name`, which the whole process shares. `new_image_encoder` explains the names."""
    return new_image_encoder(name, releases)


def new_image_encoder(name: str, releases: Path | ScopePlaces) -> ImageEncoder:
    """Create an image encoder. `name` has one of these forms:

    - `builtin` needs no weights.
    - `open_clip:MODEL/WEIGHTS` or `onnx:PATH` computes in float32.
    - Either of these two forms, followed by `@RELEASE`, uses the encoder release with the id RELEASE in `releases`.
    - `open_clip:MODEL/WEIGHTS`, followed by `@bfloat16` or `@float16`, computes in this half precision, on CUDA only.

    Raises `LabError` if `name` has none of these forms, or if the encoder is not available on this machine.
    """
    if not is_encoder_name(name):
        raise LabError(f"no image encoder is called {name!r}; {name_help(name)}")
    plain_name, precision = split_precision(name)
    kind, _, rest = plain_name.partition(":")
    if kind == "builtin":
        from thumblab_core.encoders.builtin import BuiltinEncoder

        return BuiltinEncoder()
    if kind == "open_clip":
        return _open_clip(rest, precision, releases)

    from thumblab_core.encoders.onnx import OnnxEncoder

    path = Path(rest).expanduser()
    plain = OnnxEncoder(path)
    return OnnxEncoder(path, _release(releases, plain.base, precision)) if precision else plain


def weights_file(name: str) -> Path | None:
    """Return the file of weights that the open_clip encoder called `name` reads, or None if the encoder reads no file.

    `name` may include a precision.
    """
    kind, _, rest = split_precision(name)[0].partition(":")
    weights = rest.partition("/")[2]
    return Path(weights) if kind == "open_clip" and weights and Path(weights).is_file() else None


def _open_clip(rest: str, precision: str | None, releases: Path | ScopePlaces) -> ImageEncoder:
    from thumblab_core.encoders.open_clip import OpenClipEncoder, is_path

    model, _, weights = rest.partition("/")
    store = ReleaseStore(releases)
    if precision is None:
        return OpenClipEncoder(model, weights, store=store)
    if precision in ("bfloat16", "float16"):
        if cuda_precision() is None:
            raise LabError(
                f"the vectors of open_clip:{rest} were computed in {precision} on CUDA, which this machine does not "
                "have; use a machine with CUDA, or embed and train again here"
            )
        return OpenClipEncoder(model, weights, precision=precision, store=store)
    base = OpenClipEncoder(model, weights).base
    # The name of a release's folder contains the digest of the weights. If the file of weights is gone, the digest
    # cannot be computed, so the folder is found by the id of the release.
    if is_path(weights) and not Path(weights).is_file():
        base = next((scope for scope in _scopes_with(store, f"open_clip-{model}-", precision)), base)
    return OpenClipEncoder(model, weights, _release(releases, base, precision), store=store)


def _scopes_with(store: ReleaseStore, start: str, release_id: str) -> list[str]:
    """Return the encoder scopes that begin with `start` and have a release with this id."""
    scopes = [scope for _, scope in store.scopes(ENCODER) if scope.startswith(start)]
    return [scope for scope in scopes if any(each.release_id == release_id for each in store.all(ENCODER, scope))]


def _release(releases: Path | ScopePlaces, base: str, release_id: str) -> Release:
    return ReleaseStore(releases).get(ENCODER, base, release_id)


def cuda_precision() -> str | None:
    """Return the half precision that this machine supports on CUDA, or None without CUDA.

    This function loads torch only if the machine has a CUDA device.
    """
    if not may_have_cuda() or importlib.util.find_spec("torch") is None:
        return None
    import torch

    if not torch.cuda.is_available():
        return None
    return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"


@lru_cache(maxsize=2)
def title_encoder(name: str) -> TextEncoder:
    """Return the title encoder called `name`, which the whole process shares.

    `name` is `minilm`, or the path or the hub name of a sentence-transformers model. Raises `LabError` if the package
    with the weights of `minilm` is missing.
    """
    from thumblab_core.encoders.minilm import CARRIED, MiniLmEncoder
    from thumblab_core.encoders.sentence import SentenceEncoder

    return MiniLmEncoder() if name == CARRIED else SentenceEncoder(name)
