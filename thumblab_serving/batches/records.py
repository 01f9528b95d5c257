"""The records of a batch. Each record is one JSON file, which is always replaced as a whole."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, TypeAdapter, ValidationError

from thumblab_core.durable_files import sync
from thumblab_core.errors import LabError
from thumblab_core.keys.named_keys import OWN_KEY
from thumblab_serving.schemas.batches import BatchState

_Count = Annotated[int, Field(ge=0)]


class DamagedError(LabError):
    """The error for a batch with a damaged file, for example after a fault of the disk."""


@dataclass(frozen=True)
class _Record:
    """A record that is one file of a batch."""

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Return the record in a file, or None if there is no such file. Raises `DamagedError` if the record is not
        valid.
        """
        try:
            return TypeAdapter(cls).validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError:
            raise DamagedError(f"its file {path.name} is damaged") from None

    def write(self, path: Path) -> None:
        """Replace the file by this record. After a crash or a power cut, the file contains either the old or the new
        record.
        """
        new = path.with_name(f"{path.name}.new")
        new.write_bytes(TypeAdapter(type(self)).dump_json(self))
        sync(new)
        new.replace(path)
        sync(path.parent)


@dataclass(frozen=True)
class Facts(_Record):
    """The facts of a batch, written when the batch is stored.

    `digest` is the SHA-256 of the request. `key` is the owner: the name and the id of the API key that sent the
    request. Batches that were stored without an owner belong to the lab's own key.
    """

    id: str
    items: Annotated[int, Field(ge=1)]
    digest: str
    created_at: AwareDatetime
    deadline_at: AwareDatetime
    webhook: str | None = None
    key: str = OWN_KEY


@dataclass(frozen=True)
class Progress(_Record):
    """The progress of a batch.

    `done` is the number of items that have a result. `failed` is the number of these items in which no thumbnail could
    be scored. `size` is the number of bytes that the results take in their file. Further bytes in the file come from an
    interrupted write. `attempts` is the number of times that work on the next item has begun.
    """

    done: _Count = 0
    failed: _Count = 0
    size: _Count = 0
    attempts: _Count = 0


@dataclass(frozen=True)
class End(_Record):
    """The final state of a batch, and the time at which the batch reached this state."""

    state: BatchState
    finished_at: AwareDatetime


@dataclass(frozen=True)
class Delivery(_Record):
    """The delivery of a webhook. `next_at` is the Unix time of the next attempt, or None after the last attempt."""

    state: Literal["waiting", "delivered", "failed"] = "waiting"
    attempts: _Count = 0
    reason: str | None = None
    next_at: float | None = 0.0


def append(path: Path, size: int, line: bytes) -> int:
    """Write `line` into a file after its first `size` bytes. Return the new size. The line survives a power cut.

    Bytes of the file after the first `size` bytes are overwritten. Raises `DamagedError` if the file has fewer than
    `size` bytes.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(handle, "r+b") as file:
        if os.fstat(file.fileno()).st_size < size:
            raise DamagedError(f"its file {path.name} is damaged")
        file.truncate(size)
        file.seek(size)
        file.write(line)
        file.flush()
        os.fsync(file.fileno())
    return size + len(line)
