"""What changed in a library since its base was built: a handful of videos put in, put anew or taken out.

Files of a release: `changes.json`, a list of `{"video_id", "at", "item", "mark"}` in the order of the vectors, `item` null
for a video that was taken out; `changes.npy`, a vector for each that has an item.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from pydantic import TypeAdapter, ValidationError

from thumblab_core.encoders.protocol import Vectors
from thumblab_core.index.items import Item, LibraryError

JSON, VECTORS = "changes.json", "changes.npy"


@dataclass(frozen=True)
class Change:
    """The last word on one video; `item` is None where it was taken out. `at` has a time zone.

    `mark` is of the release store, drawn after the change stood in the database; 0 in changes from before there were marks.
    """

    video_id: str
    at: datetime
    item: Item | None
    mark: int = 0


_FILE = TypeAdapter(list[Change])


@dataclass(frozen=True)
class Changes:
    """Each changed video once, those with an item first to last as the rows of `vectors`, float32 [m, d]."""

    entries: tuple[Change, ...]
    vectors: Vectors

    @classmethod
    def none(cls, dimension: int) -> Self:
        return cls((), np.zeros((0, dimension), np.float32))

    def __len__(self) -> int:
        return len(self.entries)

    @cached_property
    def items(self) -> tuple[Item, ...]:
        """Of the videos that are there, in the order of the vectors."""
        return tuple(entry.item for entry in self.entries if entry.item is not None)

    def with_all(self, changes: Iterable[tuple[Change, Vectors | None]]) -> "Changes":
        """With these after the others; the last word on a video counts. A change with an item has a unit vector [d]."""
        vectors = iter(self.vectors)
        found: dict[str, tuple[Change, Vectors | None]] = {
            entry.video_id: (entry, None if entry.item is None else next(vectors)) for entry in self.entries
        }
        for change, vector in changes:
            found.pop(change.video_id, None)
            found[change.video_id] = (change, vector)
        rows = [vector for _, vector in found.values() if vector is not None]
        stacked = np.stack(rows).astype(np.float32) if rows else np.zeros((0, self.vectors.shape[1]), np.float32)
        return Changes(tuple(change for change, _ in found.values()), stacked)

    def since(self, moment: datetime, mark: int = 0) -> list[tuple[Change, Vectors | None]]:
        """Those made after that mark, or where one of the two has none at that moment or later, as `with_all` takes them."""
        return [
            (entry, vector)
            for entry, vector in self.pairs()
            if (entry.mark > mark if entry.mark and mark else entry.at >= moment)
        ]

    def pairs(self) -> list[tuple[Change, Vectors | None]]:
        """All, as `with_all` takes them."""
        vectors = iter(self.vectors)
        return [(entry, None if entry.item is None else next(vectors)) for entry in self.entries]

    def save(self, folder: Path) -> None:
        """Write the files of a release."""
        (folder / JSON).write_bytes(_FILE.dump_json(list(self.entries)))
        np.save(folder / VECTORS, self.vectors)

    @classmethod
    def load(cls, folder: Path, dimension: int) -> Self:
        """From a verified folder. Raises `LibraryError` when the files make no sense."""
        try:
            entries = _FILE.validate_json((folder / JSON).read_bytes(), strict=False)
            vectors = np.load(folder / VECTORS, allow_pickle=False)
        except (OSError, ValueError, ValidationError) as error:
            raise LibraryError(f"the changes in {folder.name} make no sense ({str(error)[:160]})") from None
        found = cls(tuple(entries), vectors)
        if vectors.dtype != np.float32 or vectors.shape != (len(found.items), dimension):
            raise LibraryError(
                f"{VECTORS} holds {vectors.dtype} {vectors.shape}, not float32 {len(found.items)}x{dimension}"
            )
        if len({entry.video_id for entry in entries}) != len(entries):
            raise LibraryError(f"a video stands twice in {JSON}")
        if any(entry.item is not None and entry.item.video_id != entry.video_id for entry in entries):
            raise LibraryError(f"an item in {JSON} stands for another video")
        return found
