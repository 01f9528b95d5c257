"""What the part of an image tower that learns takes, once per picture and kept on the disk: every epoch reads it again.

Where the lower blocks are frozen these are their activations, in float16, so that they run once and not every epoch. Where
all blocks learn, or the activations would take too much room, these are the prepared pictures.
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
"""From the SHA-256 of a picture to the picture, prepared. Raises `ImageError`."""

_BATCH = 16
_THREADS = min(4, os.cpu_count() or 1)


@dataclass(frozen=True)
class TowerInputs:
    """n pictures as the tower takes them. `unreadable` says of a row why there is nothing in it."""

    tower: TrainableTower
    preprocessing: Preprocessing
    kept: npt.NDArray[Any]
    """float16 activations [n, tokens, width], or uint8 pictures [n, h, w, 3]."""
    unreadable: dict[int, str]

    @property
    def activations(self) -> bool:
        """Whether the frozen blocks have run already."""
        return self.kept.dtype == np.float16

    def __call__(self, rows: Rows) -> Tensor:
        """The rows as `TrainableTower.above` takes them, in float32 on the tower's device."""
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
    """Read n pictures (SHA-256 each) and run the frozen blocks on them; activations may take `most_bytes` in `folder`.

    A picture that cannot be read is noted and takes nothing else with it. Killed, it goes on where it was: the folder must
    be used for the very same tower and pictures. Raises `LabError` when there is no room, or numbers are beyond float16.
    """
    size = (preprocessing.height, preprocessing.width, 3)
    example = _below(tower, np.zeros((1, *size), np.uint8), preprocessing)
    fits = not tower.whole and example[0].numel() * 2 * len(pictures) <= most_bytes
    shape, dtype = (tuple(example.shape[1:]), np.float16) if fits else (size, np.uint8)
    name = "activations" if fits else "pictures"
    kept = _room(folder / name, (len(pictures), *shape), np.dtype(dtype))
    done, unreadable = _noted(folder / f"{name}.json")

    def run(batch: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        if not fits:
            return batch
        found = _below(tower, batch, preprocessing).cpu().numpy().astype(np.float16)
        if not np.isfinite(found).all():
            raise LabError(
                "the activations of this image tower are beyond float16; keep pictures instead: activations_gib=0"
            )
        return found

    with ThreadPoolExecutor(_THREADS, "prepare") as threads:

        def draw(start: int) -> list[Future[Prepared]]:
            return [threads.submit(read, sha256) for sha256 in pictures[start : start + _BATCH]]

        upcoming = draw(done)
        for start in range(done, len(pictures), _BATCH):
            futures, upcoming = upcoming, draw(start + _BATCH)  # these are prepared while the model works on those
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
            _note(folder / f"{name}.json", start + len(futures), unreadable)
            progress(f"keeping {name}", start + len(futures), len(pictures))
    return TowerInputs(tower, preprocessing, kept, unreadable)


def _below(tower: TrainableTower, batch: npt.NDArray[np.uint8], preprocessing: Preprocessing) -> Tensor:
    return tower.below(torch.from_numpy(normalised(batch, preprocessing)).to(tower.device))


def _room(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.memmap[Any, np.dtype[Any]]:
    """A file mapped to memory, all of it there: a hole that the disk has no room for would end the process."""
    size = int(np.prod(shape)) * dtype.itemsize
    try:
        with path.open("ab") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:  # macOS has none
                file.truncate(size)
    except OSError as error:
        raise LabError(
            f"{path} needs {size / 2**30:.1f} GiB ({error.strerror}); make room, or lower activations_gib"
        ) from None
    return np.memmap(path, dtype, "r+", shape=shape)


def _noted(path: Path) -> tuple[int, dict[int, str]]:
    if not path.is_file():
        return 0, {}
    said = json.loads(path.read_text())
    return int(said["done"]), {int(row): why for row, why in said["unreadable"].items()}


def _note(path: Path, done: int, unreadable: dict[int, str]) -> None:
    aside = path.with_suffix(".new")
    aside.write_text(json.dumps({"done": done, "unreadable": unreadable}))
    aside.replace(path)
