"""The files that describe a batch, as records. They are JSON, and are replaced as a whole."""

import json
import os
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from thumblab_core.durable_files import sync


@dataclass(frozen=True)
class _Record:
    """A record that is one file of a batch."""

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Return the record in a file, or None if there is no such file."""
        try:
            stored: dict[str, Any] = json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        return cls(**{field.name: stored[field.name] for field in fields(cls) if field.name in stored})

    def write(self, path: Path, durable: bool = True) -> None:
        """Replace the file. After a crash, it holds the old or the new record. If `durable`, also after a power cut."""
        new = path.with_name(f"{path.name}.new")
        new.write_text(json.dumps(asdict(self)))
        if durable:
            sync(new)
        new.replace(path)
        if durable:
            sync(path.parent)


@dataclass(frozen=True)
class Facts(_Record):
    """What is known of a batch when it is stored. Times are in ISO 8601. `digest` is the SHA-256 of the request."""

    id: str
    items: int
    digest: str
    created_at: str
    deadline_at: str
    webhook: str | None = None

    @property
    def deadline(self) -> datetime:
        return datetime.fromisoformat(self.deadline_at)


@dataclass(frozen=True)
class Progress(_Record):
    """How far a batch is.

    `done` items have a result, of which `failed` have no scored thumbnail. `size` is the number of bytes that their
    results take. What the file of results has beyond `size` is the rest of a write that was interrupted. `attempts` is
    how often the item after the last finished one was begun.
    """

    done: int = 0
    failed: int = 0
    size: int = 0
    attempts: int = 0


@dataclass(frozen=True)
class End(_Record):
    """The final state of a batch, and when it was reached."""

    state: str
    finished_at: str


@dataclass(frozen=True)
class Delivery(_Record):
    """The delivery of a webhook. `next_at` is the Unix time of the next attempt, or None if there is none."""

    state: str = "waiting"
    attempts: int = 0
    reason: str | None = None
    next_at: float | None = 0.0


def append(path: Path, size: int, line: bytes) -> int:
    """Write `line` into a file after its first `size` bytes. Return the new size. The line survives a power cut.

    What the file has beyond `size` is overwritten.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(handle, "r+b") as file:
        file.truncate(size)
        file.seek(size)
        file.write(line)
        file.flush()
        os.fsync(file.fileno())
    return size + len(line)
