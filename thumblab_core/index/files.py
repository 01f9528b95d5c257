"""Write the base of a library into a release, and read it. docs/release-format.md describes the files."""

import gc
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from thumblab_core.encoders.protocol import Vectors
from thumblab_core.index.base import Base
from thumblab_core.index.items import Item, LibraryError
from thumblab_core.index.kinds import FLAT, IndexKind, faiss_module, set_parameter
from thumblab_core.index.mapped import mapped
from thumblab_core.index.typicality import MeanCosines
from thumblab_core.releases.release import Release

INDEX, ITEMS, VECTORS, CALIBRATION = "index.faiss", "items.json", "vectors.npy", "calibration.npy"
BASE_FILES = (INDEX, ITEMS, VECTORS, CALIBRATION)

_ITEMS = TypeAdapter(list[Item])
_WRITTEN_ITEMS = 10_000
_WRITTEN_BYTES = 2**22


def write_base(base: Base, calibration: MeanCosines, folder: Path) -> None:
    """Write a base into an empty folder. Raises `OSError` if a file cannot be written."""
    faiss = faiss_module()
    # FAISS's own function to write files is not used. On a full disk, that function writes only a part of the file and
    # raises no error.
    with (folder / INDEX).open("wb") as file:
        faiss.write_index(base.index, faiss.PyCallbackIOWriter(file.write, _WRITTEN_BYTES))
    if not base.kind.exact:
        np.save(folder / VECTORS, base.vectors)
    with (folder / ITEMS).open("wb") as file:
        file.writelines(items_json(base.items))
    np.save(folder / CALIBRATION, calibration)


def items_json(items: Sequence[Item]) -> Iterator[bytes]:
    """Yield the content of the file `items.json` of a release, in parts that take little memory."""
    yield b"["
    for start in range(0, len(items), _WRITTEN_ITEMS):
        part = _ITEMS.dump_json(list(items[start : start + _WRITTEN_ITEMS]))
        yield (b"," if start else b"") + part[1:-1]
    yield b"]"


def named_videos(release: Release) -> set[str]:
    """Return the ids of the videos in the base of a release. This function reads no vectors."""
    return {item["video_id"] for item in json.loads((release.path / ITEMS).read_bytes())}


def read_base(release: Release) -> Base:
    """Return the base of a verified release.

    Raises `LibraryError` if its files are unreadable or contradict each other.
    """
    try:
        with _without_garbage_collection():
            items = _ITEMS.validate_json((release.path / ITEMS).read_bytes(), strict=False)
        index = faiss_module().read_index(str(release.path / INDEX))
        kind = IndexKind(**(release.info.get("search") or {"factory": FLAT}))
        vectors = _vectors_of(index) if kind.exact else mapped(release.path / VECTORS)
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, ValidationError) as error:
        raise LibraryError(f"{release} cannot be read ({type(error).__name__}: {str(error)[:160]})") from None
    shapes = {(index.ntotal, index.d), (len(items), index.d), vectors.shape}
    if len(shapes) > 1 or vectors.dtype != np.float32:
        content = (
            f"an index of {index.ntotal}x{index.d}, {len(items)} items and {vectors.dtype} vectors of {vectors.shape}"
        )
        raise LibraryError(
            f"{release} contains {content}, but its manifest says {release.info['count']}x{release.info['dimension']}"
        )
    if kind.parameter is not None and kind.value is not None:
        set_parameter(index, kind.parameter, kind.value)
    base = Base(index, vectors, items, kind)
    # `row_of` is computed here and then kept. So the first change of a large library does not have to compute it.
    if len(base.row_of) != len(items):
        raise LibraryError(f"{release} contains a video twice")
    return base


def read_calibration(release: Release) -> MeanCosines:
    """Return the `MeanCosines` of a verified release: how similar the pictures of the library are to their nearest
    neighbours.

    Raises `LibraryError` if the file cannot be read, or if it does not contain a rising sequence of finite numbers.
    """
    try:
        calibration = np.load(release.path / CALIBRATION, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise LibraryError(f"{release}: {CALIBRATION} cannot be read ({str(error)[:160]})") from None
    if calibration.ndim != 1 or not np.isfinite(calibration).all() or (np.diff(calibration) < 0).any():
        raise LibraryError(f"{release}: {CALIBRATION} is not a rising sequence of finite numbers")
    return np.asarray(calibration, np.float32)


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Pause the garbage collector inside the `with` block.

    Without this pause, the collector takes 1/3 of the time that is needed to read 100,000 items, and frees nothing.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _vectors_of(index: Any) -> Vectors:
    """Return the vectors that an exact index stores."""
    vectors: Vectors = index.reconstruct_n(0, index.ntotal)
    return vectors.reshape(index.ntotal, index.d)
