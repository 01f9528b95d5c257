"""Fetch small model files, and check that each file has the expected bytes.

A file is identified by its SHA-256 only. A new file gets a temporary name first. The file is moved to its place in
`data_dir/models` only if its bytes have the expected digest. A reader therefore finds the whole file or no file.
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
from thumblab_core.settings import Settings, variable
from thumblab_core.settings import settings as current_settings

_DEADLINE_S = 300.0
_BLOCK = 2**20
_ONNX_STARTS_WITH = b"\x08"
"""The first byte of every ONNX file, the tag of the field `ir_version`.

A Git LFS pointer or a web page, which a host may send in place of the file, starts with another byte.
"""


class ModelFileError(LabError):
    """An error for a model file that is not available or has unexpected bytes. No existing file was changed."""


@dataclass(frozen=True)
class ModelFile:
    """A model file that the lab can fetch.

    Attributes:
        name: the name for `thumblab models pull`.
        file: the name of the file.
        what: what the model does.
        licence: the licence of the model.
        url: the address from which the file is fetched. This address must not redirect.
        size: the size of the file in bytes.
        sha256: the SHA-256 of the bytes of the file.
    """

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
    # The URL names one commit, so that the file at this URL never changes. The host of this URL sends the file itself
    # and not its Git LFS pointer.
    url="https://media.githubusercontent.com/media/opencv/opencv_zoo/47534e27c9851bb1128ccc0102f1145e27f23f98"
    "/models/face_detection_yunet/face_detection_yunet_2026may.onnx",
    size=229_738,
    sha256="ebafce4e3c118d6554634be5c27ab333b4c047a9a8c3faf1d7cf93101c22f0f0",
)

SFACE = ModelFile(
    name="sface",
    file="face_recognition_sface_2021dec.onnx",
    what="tells whether two faces belong to the same person (SFace, OpenCV Zoo)",
    licence="Apache-2.0",
    # The size and the digest below are from the Git LFS pointer in this commit.
    url="https://media.githubusercontent.com/media/opencv/opencv_zoo/aeee99703db82d838f6c66b90429b0468bcedeb3"
    "/models/face_recognition_sface/face_recognition_sface_2021dec.onnx",
    size=24_227_283,
    sha256="f6abbfff9575e3041db692c1e29d782e995191888477fd59ebc81202d99fc63b",
)

REGISTRY = {YUNET.name: YUNET, SFACE.name: SFACE}
"""All model files, by name."""


class Presence(StrEnum):
    """The state of a model file in the data folder. A damaged file exists, but does not have the expected bytes."""

    PRESENT = "present"
    MISSING = "missing"
    DAMAGED = "damaged"


def named(name: str) -> ModelFile:
    """Return the model file called `name`. Raises `ModelFileError` if no model file has this name."""
    if name not in REGISTRY:
        raise ModelFileError(f"there is no model file {name!r}; use one of {', '.join(REGISTRY)}")
    return REGISTRY[name]


def wanted(settings: Settings | None = None) -> list[ModelFile]:
    """Return the model files that the lab uses: the face detector, and SFace only if the recognition of people is
    switched on.
    """
    people = (settings or current_settings()).people != "off"
    return [model for model in REGISTRY.values() if people or model.name != SFACE.name]


def path_of(model: ModelFile, settings: Settings | None = None) -> Path:
    """Return the path of the file in the data folder, whether it exists or not."""
    return (settings or current_settings()).data_dir / "models" / model.file


def presence(model: ModelFile, settings: Settings | None = None) -> Presence:
    """Return whether the file exists and has the expected bytes. Raises `ModelFileError` if it cannot be read."""
    path = path_of(model, settings)
    try:
        return Presence.PRESENT if _digest_of(path) == model.sha256 else Presence.DAMAGED
    except FileNotFoundError:
        return Presence.MISSING
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read ({error.strerror}); make it readable, or remove it") from None


def face_model(settings: Settings | None = None) -> Path | None:
    """Return the path of the face detector, or None if there is none.

    The path is the setting `THUMBLAB_FACE_MODEL`, or else the path of the file that `thumblab models pull` fetched.
    Raises `ModelFileError` if the setting is not the path of an ONNX file, or if the fetched file has changed. No file
    is silently ignored: otherwise the lab would measure sub-scores without faces, although the user has set up a
    detector.
    """
    settings = settings or current_settings()
    return _chosen(YUNET, "face_model", settings.face_model, settings)


def face_embedder(settings: Settings | None = None) -> Path | None:
    """Return the path of the face embedder, or None if there is none.

    The path is the setting `THUMBLAB_FACE_EMBEDDER`, or else the path of SFace if `thumblab models pull sface` fetched
    it. Raises `ModelFileError` if the setting is not the path of an ONNX file, or if the fetched file has changed. The
    setting that switches on the recognition of people has no effect on the result.
    """
    settings = settings or current_settings()
    return _chosen(SFACE, "face_embedder", settings.face_embedder, settings)


def _chosen(model: ModelFile, field: str, own: Path | None, settings: Settings) -> Path | None:
    """Return `own`, the value of the setting `field`. If the setting is not set, return the path of the fetched file,
    or None.
    """
    if own is not None:
        return _onnx(own, variable(field))
    state = presence(model, settings)
    if state is Presence.DAMAGED:
        raise ModelFileError(f"{path_of(model, settings)} is damaged; `thumblab models pull {model.name}` replaces it")
    return path_of(model, settings) if state is Presence.PRESENT else None


def pull(model: ModelFile, source: Path | None = None, settings: Settings | None = None) -> bool:
    """Fetch the file from its URL, or copy it from `source`. Returns False if the data folder already had the file.

    If the file is not available or has unexpected bytes, raises `ModelFileError` and leaves the data folder unchanged.
    """
    if presence(model, settings) is Presence.PRESENT and source is None:
        return False
    path = path_of(model, settings)
    if source is None:
        return _place(model, path, lambda file: _download(model, file), model.url)
    return _place(model, path, lambda file: _copy(source, model, file), str(source))


def _place(model: ModelFile, path: Path, write: Callable[[BinaryIO], None], origin: str) -> bool:
    """Write the model to a temporary file, check it and rename it to `path`.

    Returns False if `path` already had these bytes.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    except OSError as error:
        raise ModelFileError(
            f"{path.parent} cannot be written ({error.strerror}); free space on the disk or make the folder writable"
        ) from None
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        digest, size = _digest_of(temporary), temporary.stat().st_size
        if (size, digest) != (model.size, model.sha256):
            raise ModelFileError(
                f"{origin} is not {model.file}: expected {model.size} bytes with SHA-256 {model.sha256}, "
                f"got {size} bytes with {digest}; nothing was changed"
            )
        if path.is_file() and _digest_of(path) == model.sha256:
            return False
        # A temporary file can be read only by its owner. But the scoring service may run as another user, and must be
        # able to read the model. So the mode is changed.
        temporary.chmod(0o644)
        temporary.replace(path)
        return True
    except OSError as error:
        raise ModelFileError(f"{path} cannot be written ({error.strerror}); nothing was changed") from None
    finally:
        temporary.unlink(missing_ok=True)


def _download(model: ModelFile, file: BinaryIO) -> None:
    parts = urlsplit(model.url)
    # The fetcher may read only from this host. For a host without a port, as in the real URL, the fetcher allows only
    # https.
    with Fetcher([parts.netloc], deadline_s=_DEADLINE_S, accept="application/octet-stream") as fetcher:
        try:
            fetcher.download(model.url, file, max_bytes=model.size)
        except FetchError as error:
            raise ModelFileError(
                f"{model.file} cannot be fetched ({error}); nothing was changed. Fetch it elsewhere and run "
                f"`thumblab models pull {model.name} --from PATH`"
            ) from None


def _copy(source: Path, model: ModelFile, file: BinaryIO) -> None:
    """Copy `source` to `file`, but at most one byte more than the size of `model`.

    The extra byte shows that a source is too large. A wrong source may be endless, so the rest is not read.
    """
    try:
        with source.open("rb") as original:
            file.write(original.read(model.size + 1))
    except OSError as error:
        raise ModelFileError(f"{source} cannot be read ({error.strerror}); nothing was changed") from None


def _onnx(path: Path, name: str) -> Path:
    """Return `path`. Raises `ModelFileError` unless the file can be read and starts like an ONNX file.

    `name`: the name of the setting that has the value `path`.
    """
    try:
        with path.open("rb") as file:
            start = file.read(1)
    except OSError as error:
        raise ModelFileError(
            f"{name} is set to {path}, which cannot be read ({error.strerror}); correct or unset {name}"
        ) from None
    if start != _ONNX_STARTS_WITH:
        raise ModelFileError(f"{name} is set to {path}, which is not an ONNX file; correct or unset {name}")
    return path


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
