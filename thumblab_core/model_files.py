"""Small model files that the lab may fetch: what they are, where from, and whether what is here is what was meant.

A file is known by its SHA-256 and nothing else. It is written aside and takes its place in `data_dir/models` only once
its bytes have that digest, so a reader finds the whole file or none.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from thumblab_core.errors import LabError
from thumblab_core.fetch import Fetcher, FetchError
from thumblab_core.settings import Settings
from thumblab_core.settings import settings as current_settings

_DEADLINE_S = 300.0
_BLOCK = 2**20
_ONNX_STARTS_WITH = b"\x08"
"""The tag of `ir_version`, the first field of an ONNX file; a Git LFS pointer or a web page starts otherwise."""


class ModelFileError(LabError):
    """A model file cannot be had, or is not the one that was meant. Whatever was there before still is."""


@dataclass(frozen=True)
class ModelFile:
    """One file that the lab may fetch. `size` in bytes; `url` answers without a redirect."""

    name: str
    file: str
    what: str
    licence: str
    url: str
    size: int
    sha256: str


YUNET = ModelFile(
    name="yunet",
    file="face_detection_yunet_2026may.onnx",
    what="finds the faces in a thumbnail (YuNet, OpenCV Zoo)",
    licence="MIT",
    # Of one commit, so that upstream can change nothing; from the host that answers with the file, not with its LFS pointer.
    url="https://media.githubusercontent.com/media/opencv/opencv_zoo/47534e27c9851bb1128ccc0102f1145e27f23f98"
    "/models/face_detection_yunet/face_detection_yunet_2026may.onnx",
    size=229_738,
    sha256="ebafce4e3c118d6554634be5c27ab333b4c047a9a8c3faf1d7cf93101c22f0f0",
)

REGISTRY = {YUNET.name: YUNET}
"""Every file that the lab knows, by name."""


class Presence(StrEnum):
    """Whether a model file is in its place."""

    PRESENT = "present"
    MISSING = "missing"
    DAMAGED = "damaged"


def named(name: str) -> ModelFile:
    """The file of that name. Raises `ModelFileError`."""
    if name not in REGISTRY:
        raise ModelFileError(f"the lab knows no model file {name!r}; it knows {', '.join(REGISTRY)}")
    return REGISTRY[name]


def path_of(model: ModelFile, settings: Settings | None = None) -> Path:
    """Its place in the data folder, whether it is there or not."""
    return (settings or current_settings()).data_dir / "models" / model.file


def presence(model: ModelFile, settings: Settings | None = None) -> Presence:
    """Whether the file is in its place with the bytes that were meant."""
    path = path_of(model, settings)
    try:
        return Presence.PRESENT if _digest_of(path) == model.sha256 else Presence.DAMAGED
    except FileNotFoundError:
        return Presence.MISSING
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read ({error.strerror}); make it readable, or remove it") from None


def face_model(settings: Settings | None = None) -> Path | None:
    """The face detector to use: `THUMBLAB_FACE_MODEL`, else what `thumblab models pull` left, else None.

    Raises `ModelFileError` where the setting names no ONNX file, or the pulled file is no longer what was pulled: a
    detector that was meant to be there is never left out silently.
    """
    settings = settings or current_settings()
    if settings.face_model is not None:
        return _onnx(settings.face_model)
    found = presence(YUNET, settings)
    if found is Presence.DAMAGED:
        raise ModelFileError(f"{path_of(YUNET, settings)} is damaged; `thumblab models pull` replaces it")
    return path_of(YUNET, settings) if found is Presence.PRESENT else None


def pull(model: ModelFile, source: Path | None = None, settings: Settings | None = None) -> bool:
    """Put the file in its place: from upstream, or from a copy at `source`. False when it was there already.

    Raises `ModelFileError` when it cannot be had or is not the one that was meant; nothing is changed then.
    """
    if presence(model, settings) is Presence.PRESENT and source is None:
        return False
    path = path_of(model, settings)
    if source is None:
        return _place(model, path, lambda file: _download(model, file), model.url)
    return _place(model, path, lambda file: _copy(source, model, file), str(source))


def _place(model: ModelFile, path: Path, write: Callable[[BinaryIO], None], origin: str) -> bool:
    """Write aside, check, rename. False when the very bytes were there already."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    except OSError as error:
        raise ModelFileError(
            f"{path.parent} cannot be written ({error.strerror}); make room or make it writable"
        ) from None
    aside = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        found, size = _digest_of(aside), aside.stat().st_size
        if (size, found) != (model.size, model.sha256):
            raise ModelFileError(
                f"{origin} is not {model.file}: expected {model.size} bytes with SHA-256 {model.sha256}, "
                f"got {size} bytes with {found}; nothing was changed"
            )
        if path.is_file() and _digest_of(path) == model.sha256:
            return False
        aside.chmod(0o644)  # a temporary file is its maker's alone; the service may be another user's
        aside.replace(path)
        return True
    except OSError as error:
        raise ModelFileError(f"{path} cannot be written ({error.strerror}); nothing was changed") from None
    finally:
        aside.unlink(missing_ok=True)


def _download(model: ModelFile, file: BinaryIO) -> None:
    parts = urlsplit(model.url)
    # The registry's own host and no other: `name` is https on its usual port, `name:port` is what a test serves.
    with Fetcher([parts.netloc], deadline_s=_DEADLINE_S, accept="application/octet-stream") as fetcher:
        try:
            fetcher.download(model.url, file, max_bytes=model.size)
        except FetchError as error:
            raise ModelFileError(
                f"{model.file} cannot be fetched ({error}); nothing was changed. Fetch it elsewhere and give it to "
                f"`thumblab models pull {model.name} --from PATH`"
            ) from None


def _copy(source: Path, model: ModelFile, file: BinaryIO) -> None:
    """At most one byte more than is meant: a wrong file may be of any size."""
    try:
        with source.open("rb") as given:
            file.write(given.read(model.size + 1))
    except OSError as error:
        raise ModelFileError(f"{source} cannot be read ({error.strerror}); nothing was changed") from None


def _onnx(path: Path) -> Path:
    try:
        with path.open("rb") as file:
            start = file.read(1)
    except OSError as error:
        raise ModelFileError(
            f"THUMBLAB_FACE_MODEL names {path}, which cannot be read ({error.strerror}); correct it or unset it"
        ) from None
    if start != _ONNX_STARTS_WITH:
        raise ModelFileError(f"THUMBLAB_FACE_MODEL names {path}, which is no ONNX file; correct it or unset it")
    return path


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
