"""Store the inputs of the trained part of an image tower, once for each picture. Every epoch reads the stored inputs.

If the lower blocks of the tower are frozen, their outputs (activations) are stored in float16. The frozen blocks then
run only once instead of in every epoch. If the whole tower is trained, or if the activations would take too much disk
space, the prepared pictures are stored instead.
"""

import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from thumblab_core.arrays import Rows
from thumblab_core.encoders.preprocessing import Prepared, Preprocessing, stack
from thumblab_core.encoders.tower import normalised
from thumblab_core.errors import LabError
from thumblab_core.images import ImageError
from thumblab_pipelines.finetune.tower_blocks import TrainableTower
from thumblab_pipelines.progress import Progress

Read = Callable[[str], Prepared]
"""A function that takes the SHA-256 of a picture, and returns the prepared picture or raises `ImageError`."""

_BATCH = 16
_THREADS = min(4, os.cpu_count() or 1)


@dataclass(frozen=True)
class TowerInputs:
    """The stored inputs of the trained part of the tower, for n pictures.

    `unreadable`: the reason for each unreadable picture, by its row. The row of an unreadable picture in `kept` has no
    meaning, because nothing is written into it.
    """

    tower: TrainableTower
    preprocessing: Preprocessing
    kept: npt.NDArray[Any]
    """The stored inputs: float16 activations [n, tokens, width], or uint8 pictures [n, height, width, 3]."""
    unreadable: dict[int, str]

    @property
    def activations(self) -> bool:
        """Whether `kept` contains activations of the frozen blocks. If false, `kept` contains pictures."""
        return self.kept.dtype == np.float16

    def __call__(self, rows: Rows) -> Tensor:
        """Return the inputs in these rows for `TrainableTower.above`: float32 on the tower's device."""
        kept = self.kept[rows]
        if self.activations:
            return torch.from_numpy(kept).to(self.tower.device).float()
        return _below(self.tower, kept, self.preprocessing)


def tower_inputs(
    tower: TrainableTower,
    preprocessing: Preprocessing,
    pictures: Sequence[str],
    read: Read,
    folder: Path,
    most_bytes: int,
    progress: Progress,
) -> TowerInputs:
    """Read n pictures, run the frozen blocks on them, and return the stored inputs.

    `pictures` are SHA-256 digests. If the activations take at most `most_bytes`, they are stored in `folder`. If the
    activations take more, the pictures are stored. Unreadable pictures are recorded and skipped. If a call is killed,
    the next call with the same `folder` continues its work. A folder must therefore be used for only one tower and one
    list of pictures. Raises `LabError` when the disk is full, or when an activation exceeds the range of float16.
    """
    size = (preprocessing.height, preprocessing.width, 3)
    example = _below(tower, np.zeros((1, *size), np.uint8), preprocessing)
    fits = not tower.whole and example[0].numel() * 2 * len(pictures) <= most_bytes
    shape, dtype = (tuple(example.shape[1:]), np.float16) if fits else (size, np.uint8)
    name = "activations" if fits else "pictures"
    kept = _allocated(folder / name, (len(pictures), *shape), np.dtype(dtype))
    done, unreadable = _read_state(folder / f"{name}.json")

    def run(batch: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        if not fits:
            return batch
        activations = _below(tower, batch, preprocessing).cpu().numpy().astype(np.float16)
        if not np.isfinite(activations).all():
            raise LabError(
                "the activations of this image tower exceed the range of float16; set activations_gib to 0 to store "
                "pictures instead"
            )
        return activations

    with ThreadPoolExecutor(_THREADS, "prepare") as threads:

        def submit(start: int) -> list[Future[Prepared]]:
            return [threads.submit(read, sha256) for sha256 in pictures[start : start + _BATCH]]

        upcoming = submit(done)
        for start in range(done, len(pictures), _BATCH):
            # The threads prepare the pictures in `upcoming` while the model runs on the pictures in `futures`.
            futures, upcoming = upcoming, submit(start + _BATCH)
            rows, ready = [], []
            for row, future in enumerate(futures, start):
                try:
                    ready.append(future.result())
                    rows.append(row)
                except ImageError as error:
                    unreadable[row] = str(error)
            if ready:
                kept[rows] = run(stack(ready, preprocessing))
            kept.flush()
            _write_state(folder / f"{name}.json", start + len(futures), unreadable)
            progress(f"keeping {name}", start + len(futures), len(pictures))
    return TowerInputs(tower, preprocessing, kept, unreadable)


def _below(tower: TrainableTower, batch: npt.NDArray[np.uint8], preprocessing: Preprocessing) -> Tensor:
    """Return the output of the tower's frozen part for prepared pictures [n, height, width, 3]."""
    return tower.below(torch.from_numpy(normalised(batch, preprocessing)).to(tower.device))


def _allocated(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.memmap[Any, np.dtype[Any]]:
    """Return a memory-mapped file whose whole size is allocated on the disk.

    Without this allocation, a disk that becomes full later would kill the process at a write to the mapped memory.
    Raises `LabError` when the disk is already too full for the file.
    """
    size = int(np.prod(shape)) * dtype.itemsize
    try:
        with path.open("ab") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:  # macOS has no posix_fallocate. On macOS, the file gets its size, but no space is allocated.
                file.truncate(size)
    except OSError as error:
        raise LabError(
            f"{path} needs {size / 2**30:.1f} GiB ({error.strerror}); free disk space, or lower activations_gib"
        ) from None
    return np.memmap(path, dtype, "r+", shape=shape)


def _read_state(path: Path) -> tuple[int, dict[int, str]]:
    """Return the number of processed pictures, and the reason for each unreadable row.

    If no call has stored a state yet, the number is 0.
    """
    if not path.is_file():
        return 0, {}
    state = json.loads(path.read_text())
    return int(state["done"]), {int(row): reason for row, reason in state["unreadable"].items()}


def _write_state(path: Path, done: int, unreadable: dict[int, str]) -> None:
    aside = path.with_suffix(".new")
    aside.write_text(json.dumps({"done": done, "unreadable": unreadable}))
    aside.replace(path)
