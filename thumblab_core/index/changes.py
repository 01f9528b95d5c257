"""The changes of a library since its base was built: the videos that were added, replaced or taken out.

A release stores the changes in two files. `changes.json` is a list of `{"video_id", "at", "item", "mark"}`. `item` is
null for a video that was taken out. `mark` gives the order of the changes, see `Change`. `changes.npy` contains the
vectors of the entries that have an item, in the same order.
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
    """A change of a library: one video was added, replaced or taken out. If the video was taken out, `item` is None.

    `at`: moment of the change, with a time zone. `mark`: a number that says in which order changes were made. Later
    changes have higher marks. `ReleaseStore.mark` gives the mark after the change is committed to the database. Older
    versions of the lab had no marks, and their changes have the mark 0.
    """

    video_id: str
    at: datetime
    item: Item | None
    mark: int = 0


_FILE = TypeAdapter(list[Change])


@dataclass(frozen=True)
class Changes:
    """The latest change of each changed video.

    `vectors`, float32 [m, d], has a row for each entry with an item, in the order of the entries.
    """

    entries: tuple[Change, ...]
    vectors: Vectors

    @classmethod
    def none(cls, dimension: int) -> Self:
        return cls((), np.zeros((0, dimension), np.float32))

    def __len__(self) -> int:
        return len(self.entries)

    @cached_property
    def items(self) -> tuple[Item, ...]:
        """The items of the videos that were added or replaced, in the order of `vectors`."""
        return tuple(entry.item for entry in self.entries if entry.item is not None)

    def with_all(self, changes: Iterable[tuple[Change, Vectors | None]]) -> "Changes":
        """Return the changes of this object, followed by `changes`. Of each video, only the latest change is kept.

        A change with an item comes with its unit vector [d]. A change without an item comes with None.
        """
        latest = {change.video_id: (change, vector) for change, vector in self.pairs()}
        for change, vector in changes:
            latest.pop(change.video_id, None)  # The old entry is removed, so that the new entry becomes the last.
            latest[change.video_id] = (change, vector)
        rows = [vector for _, vector in latest.values() if vector is not None]
        stacked = np.stack(rows).astype(np.float32) if rows else np.zeros((0, self.vectors.shape[1]), np.float32)
        return Changes(tuple(change for change, _ in latest.values()), stacked)

    def since(self, moment: datetime, mark: int = 0) -> list[tuple[Change, Vectors | None]]:
        """Return the changes with a higher mark than `mark`, in the form that `with_all` takes.

        A mark of 0 means that the mark is not known, so it cannot be compared. If `mark` or the mark of a change is 0,
        the change is returned if it was made at `moment` or later.
        """
        return [
            (entry, vector)
            for entry, vector in self.pairs()
            if (entry.mark > mark if entry.mark and mark else entry.at >= moment)
        ]

    def pairs(self) -> list[tuple[Change, Vectors | None]]:
        """Return all changes with their vectors, in the form that `with_all` takes."""
        vectors = iter(self.vectors)
        return [(entry, None if entry.item is None else next(vectors)) for entry in self.entries]

    def save(self, folder: Path) -> None:
        """Write `changes.json` and `changes.npy` into the folder of a release. Raises `OSError` if a file cannot be
        written.
        """
        (folder / JSON).write_bytes(_FILE.dump_json(list(self.entries)))
        np.save(folder / VECTORS, self.vectors)

    @classmethod
    def load(cls, folder: Path, dimension: int) -> Self:
        """Return the changes in the folder of a verified release.

        Raises `LibraryError` if the files cannot be read or contradict each other.
        """
        try:
            entries = _FILE.validate_json((folder / JSON).read_bytes(), strict=False)
            vectors = np.load(folder / VECTORS, allow_pickle=False)
        except (OSError, ValueError, ValidationError) as error:
            raise LibraryError(f"the changes in {folder.name} cannot be read ({str(error)[:160]})") from None
        changes = cls(tuple(entries), vectors)
        if vectors.dtype != np.float32 or vectors.shape != (len(changes.items), dimension):
            raise LibraryError(
                f"{VECTORS} is an array of {vectors.dtype} {vectors.shape}, "
                f"not float32 {len(changes.items)}x{dimension}"
            )
        if len({entry.video_id for entry in entries}) != len(entries):
            raise LibraryError(f"a video is in {JSON} twice")
        if any(entry.item is not None and entry.item.video_id != entry.video_id for entry in entries):
            raise LibraryError(f"an entry of {JSON} has the item of another video")
        return changes
