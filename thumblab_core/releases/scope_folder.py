"""The folder of one scope: its releases, its small state files (such as the pointer `CURRENT`) and its locks."""

import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from thumblab_core.durable_files import sync
from thumblab_core.releases.release import (
    BusyError,
    NewerFormatError,
    Release,
    ReleaseError,
    UnreadError,
    is_release_id,
    read_release,
)

STAGING = ".staging-"
"""Prefix of folders that are being written or deleted."""
ASIDE = ".aside-"
"""Prefix of state files that are being written."""

_POINTER = "CURRENT"


@dataclass(frozen=True)
class ScopeFolder:
    """The folder `<root>/<kind>/<scope>`. Readers never wait. Writers wait for each other."""

    root: Path
    kind: str
    scope: str

    @property
    def path(self) -> Path:
        return self.root / self.kind / self.scope

    def get(self, release_id: str) -> Release:
        """Return the release with the id `release_id`. Raises `ReleaseError` if its manifest cannot be read."""
        return read_release(self.kind, self.scope, release_id, self.path / release_id)

    def release_ids(self) -> list[str]:
        """Return the ids of all published releases in any order, even if their manifests cannot be read."""
        if not self.path.is_dir():
            return []
        return [path.name for path in self.path.iterdir() if is_release_id(path.name)]

    def all(self) -> list[Release]:
        """Return every published release, oldest first, except releases whose manifest is missing or damaged.

        Raises `UnreadError` if a manifest could not be read this time, and `NewerFormatError` if a newer version of the
        lab wrote a manifest. If such a release were left out, an older release could look like the newest.
        """
        releases = []
        for release_id in self.release_ids():
            try:
                releases.append(self.get(release_id))
            except (UnreadError, NewerFormatError):
                raise
            except ReleaseError:
                continue
        return sorted(releases, key=lambda release: release.order)

    def pointer(self) -> str | None:
        """Return the id of the served release, "" after `Serving.withdraw`, and None if nothing was ever promoted."""
        try:
            return (self.path / _POINTER).read_text().strip()
        except FileNotFoundError:
            return None

    def move_pointer(self, release_id: str) -> None:
        """Make the pointer name a release, or no release if the id is "". Call this inside `writing`."""
        self.replace_file(_POINTER, release_id)

    def replace_file(self, name: str, text: str) -> None:
        """Write a small file completely or not at all.

        After the call, the content is safe on the disk, even if the power fails.
        """
        path = self.path / name
        aside = path.with_name(f"{ASIDE}{secrets.token_hex(6)}")
        aside.write_text(text)
        sync(aside)
        aside.replace(path)
        sync(path.parent)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Lock the scope inside the `with` block, to write, promote or delete releases. Make the folder if needed.

        If an `OSError` such as a full disk occurs in the block, `ReleaseError` is raised instead.
        """
        with self._explained_write_errors():
            self.path.mkdir(parents=True, exist_ok=True)
            with (self.path / ".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)  # The kernel releases the lock, even if the process is killed.
                yield

    @contextmanager
    def changing(self, patience: float) -> Iterator[None]:
        """Lock the scope inside the `with` block, to make a new release from the served release and promote the new
        release.

        Another process may still write other releases of the scope, because `writing` uses another lock. Raises
        `BusyError` if another process holds the lock for more than `patience` seconds.
        """
        with self._explained_write_errors():
            self.path.mkdir(parents=True, exist_ok=True)
            lock = (self.path / ".changing.lock").open("w")
        with lock:
            deadline = time.monotonic() + patience
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= deadline:
                        raise BusyError(
                            f"another process has been changing {self} for {patience:.0f} s; try again later"
                        ) from None
                    time.sleep(0.01)
            yield

    def next_number(self, above: int = 0) -> int:
        """Return a number above `above` and above every earlier number of the scope. Call this inside `writing`.

        The number is written to the disk before it is returned. So the same number is never returned again, even if its
        release is deleted.
        """
        path = self.path / "NUMBER"
        try:
            last = int(path.read_text())
        except (FileNotFoundError, ValueError):  # There is no number yet, or a power cut emptied the file.
            last = max((release.number for release in self.all()), default=0)
        number = 1 + max(last, above)
        with path.open("w") as file:
            file.write(str(number))
            file.flush()
            os.fsync(file.fileno())
        return number

    @contextmanager
    def _explained_write_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ReleaseError(
                f"{self.path} cannot be written ({error.strerror or error}); the served release stays. Make room, make "
                "the folder writable, or set THUMBLAB_RELEASE_DIR"
            ) from error

    def __str__(self) -> str:
        return f"{self.kind}/{self.scope}"
