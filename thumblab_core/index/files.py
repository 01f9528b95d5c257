"""The files of a library that was built at once, see docs/release-format.md: written into a release, read and checked."""

import gc
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter, ValidationError

from thumblab_core.encoders.protocol import Vectors
from thumblab_core.index.base import Base
from thumblab_core.index.items import Item, LibraryError
from thumblab_core.index.kinds import FLAT, Kind, faiss_module, set_parameter
from thumblab_core.releases.release import Release

INDEX, ITEMS, VECTORS, CALIBRATION = "index.faiss", "items.json", "vectors.npy", "calibration.npy"
BASE_FILES = (INDEX, ITEMS, VECTORS, CALIBRATION)

_ITEMS = TypeAdapter(list[Item])


def write_base(base: Base, calibration: npt.NDArray[np.float32], folder: Path) -> None:
    """Into an empty folder. Raises `OSError`."""
    # Not by FAISS's own writer: on a full disk it leaves a part of the file, prints a line and says nothing.
    (folder / INDEX).write_bytes(faiss_module().serialize_index(base.index).data)
    if not base.kind.exact:
        np.save(folder / VECTORS, base.vectors)
    (folder / ITEMS).write_bytes(items_json(base.items))
    np.save(folder / CALIBRATION, calibration)


def items_json(items: Sequence[Item]) -> bytes:
    """As a release holds them."""
    return _ITEMS.dump_json(list(items))


def named_videos(release: Release) -> set[str]:
    """Of whom the files are, without reading a vector."""
    return {item["video_id"] for item in json.loads((release.path / ITEMS).read_bytes())}


def read_base(release: Release) -> Base:
    """Of a verified release. Raises `LibraryError` when the files make no sense, or not the same."""
    try:
        with _without_collecting():
            items = _ITEMS.validate_json((release.path / ITEMS).read_bytes(), strict=False)
        index = faiss_module().read_index(str(release.path / INDEX))
        said = release.info.get("search") or {"factory": FLAT}
        kind = Kind(**said)
        # The vectors of an approximate index are looked up a few at a time: the kernel may keep them where it likes.
        vectors = _held(index) if kind.exact else np.load(release.path / VECTORS, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, ValidationError) as error:
        raise LibraryError(f"{release} makes no sense ({type(error).__name__}: {str(error)[:160]})") from None
    shapes = {(index.ntotal, index.d), (len(items), index.d), vectors.shape}
    if len(shapes) > 1 or vectors.dtype != np.float32:
        held = f"{index.ntotal}x{index.d}, {len(items)} items and {vectors.dtype} vectors of {vectors.shape}"
        raise LibraryError(f"{release} holds {held}, not {release.info['count']}x{release.info['dimension']}")
    if len({item.video_id for item in items}) != len(items):
        raise LibraryError(f"{release} holds a video twice")
    if kind.parameter is not None and kind.value is not None:
        set_parameter(index, kind.parameter, kind.value)
    return Base(index, vectors, items, kind)


def read_calibration(release: Release) -> npt.NDArray[np.float32]:
    """Of a verified release: rising, float32. Raises `LibraryError`."""
    try:
        found = np.load(release.path / CALIBRATION, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise LibraryError(f"{release}: {CALIBRATION} cannot be read ({str(error)[:160]})") from None
    if found.ndim != 1 or not np.isfinite(found).all() or (np.diff(found) < 0).any():
        raise LibraryError(f"{release}: {CALIBRATION} is no distribution")
    return np.asarray(found, np.float32)


@contextmanager
def _without_collecting() -> Iterator[None]:
    """Of a hundred thousand new objects the collector frees none, and takes a third of the time to find that out."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def _held(index: Any) -> Vectors:
    """The vectors of an exact index, without a copy."""
    found: Vectors = index.reconstruct_n(0, index.ntotal)
    return found.reshape(index.ntotal, index.d)
