"""Check the model files: the weights of the image encoder and of the title encoder, and the face detector.

The checks use no network and load no model.
"""

import importlib.util
from collections.abc import Iterator
from pathlib import Path

from thumblab_cli.doctor.examined import Examined
from thumblab_cli.doctor.finding import Finding, error, fine, warning
from thumblab_core.encoders.names import split_precision
from thumblab_core.errors import LabError

SECONDS = 60.0
"""Seconds that the check of the image encoder may take. Importing open_clip alone may take most of this time."""
_OTHER = "or set THUMBLAB_IMAGE_ENCODER to another encoder (docs/encoders.md)"


def image_encoder(examined: Examined) -> Iterator[Finding]:
    """Check that the weights of the image encoder are on this machine."""
    name = examined.settings.image_encoder
    kind, _, rest = split_precision(name)[0].partition(":")
    if kind == "builtin":
        yield fine("builtin: this encoder needs no file of weights")
    elif kind == "onnx":
        path = Path(rest).expanduser()
        missing = [str(file) for file in (path, path.with_suffix(".json")) if not file.is_file()]
        if missing:
            yield error(f"{name} lacks {' and '.join(missing)}", f"put the missing file into this folder, {_OTHER}")
        else:
            yield fine(f"{name}: its files are present")
    else:
        yield from _open_clip(name, *rest.split("/", 1))


def _open_clip(name: str, model: str, weights: str) -> Iterator[Finding]:
    if importlib.util.find_spec("open_clip") is None:
        yield fine(
            f"{name}: PyTorch is not installed here, so the service uses the encoder that a refresh has exported"
        )
        return
    import thumblab_core.encoders.torchvision_operators  # noqa: F401, I001  before open_clip imports torchvision

    import open_clip
    from thumblab_core.encoders.open_clip import is_path

    if is_path(weights):
        if Path(weights).is_file():
            yield fine(f"{name}: its file of weights is present")
        else:
            yield error(f"{name}: there is no file {weights}", f"put the weights at this path, {_OTHER}")
        return
    known = open_clip.get_pretrained_cfg(model, weights)
    if not known:
        yield error(f"open_clip has no weights {weights} for {model}", f"use another name, {_OTHER}")
    elif _in_cache(known):
        yield fine(f"{name}: its weights are on this machine")
    else:
        yield warning(
            f"the weights of {name} are not on this machine; the first run downloads up to 2 GB from the hub, and stops if "
            "the hub cannot be reached",
            f"run a refresh while this machine can reach the hub, {_OTHER}",
        )


def _in_cache(known: dict[str, object]) -> bool:
    """Return whether the weights of a model of open_clip are on this disk, in the cache of their source.

    `known` is what open_clip knows of the weights: their repository in the Hugging Face hub, or their URL.
    """
    from huggingface_hub import try_to_load_from_cache
    from open_clip.constants import HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME

    repository, _, file = str(known.get("hf_hub") or "").rpartition("/")
    if not repository:  # open_clip downloads these weights from a URL into the folder ~/.cache/clip.
        return (Path("~/.cache/clip").expanduser() / str(known.get("url", "")).rpartition("/")[2]).is_file()
    names = [file] if file else [HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME]
    return any(isinstance(try_to_load_from_cache(repository, name), str) for name in names)


def title_encoder(examined: Examined) -> Iterator[Finding]:
    """Check that the weights of the title encoder are on this machine."""
    from thumblab_core.encoders import load
    from thumblab_core.encoders.minilm import CARRIED

    name = examined.settings.title_encoder
    mend = "set THUMBLAB_TITLE_ENCODER=minilm, whose weights are installed with the lab, or the path of a model"
    try:
        # `text_encoder_release` reads the weights to compute their digest, and loads no model.
        load.title_encoder(name)
    except LabError as problem:
        yield error(str(problem), "make setup")
        return
    except OSError as problem:
        yield error(f"the title encoder {name} cannot be read ({problem.strerror})", mend)
        return
    if name == CARRIED or (Path(name) / "config.json").is_file():
        yield fine(f"{name}: its weights are present")
    elif "/" in name and (name.startswith(("/", ".", "~")) or name.count("/") > 1):
        yield error(f"there is no model in the folder {name}", mend)
    else:
        from huggingface_hub import try_to_load_from_cache

        repository = name if "/" in name else f"sentence-transformers/{name}"
        if isinstance(try_to_load_from_cache(repository, "config.json"), str):
            yield fine(f"{name}: its weights are on this machine")
        else:
            yield warning(
                f"the title encoder {name} is not on this machine",
                f"run a refresh while this machine can reach the hub, or {mend}",
            )


def face_model(examined: Examined) -> Iterator[Finding]:
    """Check that there is a face detector, and that its file is the expected file."""
    from thumblab_core import model_files

    try:
        path = model_files.face_model(examined.settings)
    except LabError as problem:
        yield error(str(problem), "thumblab models pull")
        return
    if path is None:
        yield warning(
            "there is no face detector, so faces are not detected, and every answer of the service is marked as "
            "degraded",
            f"thumblab models pull; {examined.command('refresh --no-train')}",
        )
    else:
        yield fine(str(path))
