"""The folder of one scope: its releases, its small state files (such as the pointer `CURRENT`) and its locks."""

import fcntl
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from thumblab_core.durable_files import sync
from thumblab_core.releases.release import BusyError, Release, ReleaseError, is_release_id, read_release
from thumblab_core.releases.scope import HISTORY_LENGTH, Hold, ScopeRecord, readable_releases

STAGING = ".staging-"
"""Prefix of folders that are being written or deleted."""
ASIDE = ".aside-"
"""Prefix of state files that are being written."""

_POINTER, _HISTORY, _HELD = "CURRENT", "SERVED", "HELD"


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

    def has(self, release_id: str) -> bool:
        """Return whether a release with this id was published and not deleted."""
        return (self.path / release_id / "manifest.json").is_file()

    def release_ids(self) -> list[str]:
        """Return the ids of all published releases in any order, even if their manifests cannot be read."""
        if not self.path.is_dir():
            return []
        return [path.name for path in self.path.iterdir() if is_release_id(path.name)]

    def pointer(self) -> str | None:
        """Return the id of the served release, "" after `Serving.withdraw`, and None if nothing was ever promoted."""
        try:
            return (self.path / _POINTER).read_text().strip()
        except FileNotFoundError:
            return None

    def move_pointer(self, release_id: str) -> None:
        """Move the pointer to a release, or to no release if the id is "". Call this inside `writing`."""
        self.replace_file(_POINTER, release_id)

    def promoted(self) -> list[str]:
        """Return the ids of the promoted releases in the order of promotion.

        `promote` moves the pointer before it writes the history file. If the process was killed between these two
        steps, the file lacks the served release. So the served release is added if it is not the last release in the
        file. A damaged pointer is ignored, so that the next promotion can replace it.
        """
        try:
            history = (self.path / _HISTORY).read_text().split()
        except FileNotFoundError:
            history = []
        try:
            served = self.pointer()
        except UnicodeDecodeError:
            served = None
        return [*history, served] if served and history[-1:] != [served] else history

    def promote(self, release: Release) -> None:
        """Move the pointer to a release, and add the release to the history. Call this inside `writing`."""
        # The history is read before the pointer moves. A process that was killed may have moved the pointer without
        # writing the history. `promoted` then adds the release that the pointer names.
        history = [*self.promoted(), release.release_id]
        self.move_pointer(release.release_id)
        self.replace_file(_HISTORY, "\n".join(history[-HISTORY_LENGTH:]))

    def held(self) -> Hold | None:
        """Return the hold of the scope's pointer, or None if no person holds the pointer."""
        try:
            return Hold(**json.loads((self.path / _HELD).read_text()))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError):
            return Hold("an unknown time", f"the file {_HELD} cannot be read", None)

    def hold(self, hold: Hold) -> None:
        """Write the hold. Call this inside `writing`."""
        self.replace_file(_HELD, json.dumps(asdict(hold)))

    def resume(self) -> None:
        """Remove the hold. Call this inside `writing`."""
        (self.path / _HELD).unlink(missing_ok=True)
        sync(self.path)

    def record(self) -> ScopeRecord:
        """Return what the scope records. Call this inside `writing` if another process may promote a release meanwhile."""
        return ScopeRecord(self.pointer(), tuple(self.promoted()), self.held(), self._number())

    def write_record(self, record: ScopeRecord) -> None:
        """Replace the scope's pointer, history, hold and number by the ones in `record`. Call this inside `writing`."""
        self.write_number(max(self._number(), record.number))
        if record.hold is None:
            (self.path / _HELD).unlink(missing_ok=True)
        else:
            self.hold(record.hold)
        if record.pointer is not None:
            self.replace_file(_HISTORY, "\n".join(record.promoted[-HISTORY_LENGTH:]))
            self.move_pointer(record.pointer)

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """Return a new empty folder for a release. If the release is not published, `sweep` deletes the folder."""
        staging = self.path / f"{STAGING}{secrets.token_hex(6)}"
        staging.mkdir()
        yield staging

    def publish(self, staging: Path, release_id: str, sharing: Release | None = None) -> None:
        """Rename the staging folder, whose files are synced, to the name of the release. Call this inside `writing`."""
        sync(staging)
        staging.rename(self.path / release_id)
        sync(self.path)

    def delete(self, release_ids: Sequence[str]) -> list[str]:
        """Delete releases and return their ids. Call this inside `writing`. None of the releases may be served."""
        for release_id in release_ids:
            # The folder is renamed first, because a reader must never find a release without some of its files.
            staging = self.path / f"{STAGING}{release_id}"
            with suppress(FileNotFoundError):
                (self.path / release_id).rename(staging)
                shutil.rmtree(staging)
        return list(release_ids)

    def sweep(self) -> None:
        """Delete the incomplete releases that crashed processes left. Call this inside `writing`."""
        # No other process is writing now, because this process holds the lock. So all staging folders are from
        # processes that died.
        for path in [p for p in self.path.iterdir() if p.name.startswith((STAGING, ASIDE))]:
            shutil.rmtree(path) if path.is_dir() else path.unlink()

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
        number = 1 + max(self._number(), above)
        self.write_number(number)
        return number

    def _number(self) -> int:
        """Return the highest number that a release of the scope has got so far."""
        try:
            return int((self.path / "NUMBER").read_text())
        except (FileNotFoundError, ValueError):  # There is no number yet, or a power cut emptied the file.
            return max((release.number for release in readable_releases(self)), default=0)

    def write_number(self, number: int) -> None:
        """Write the highest number that a release of the scope has got. Call this inside `writing`."""
        with (self.path / "NUMBER").open("w") as file:
            file.write(str(number))
            file.flush()
            os.fsync(file.fileno())

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


@dataclass(frozen=True)
class FolderOfScopes:
    """The folder `root` of a release store. It has a folder for each kind of releases. The folder of a kind has a
    folder for each scope.
    """

    root: Path

    def scope(self, kind: str, scope: str) -> ScopeFolder:
        return ScopeFolder(self.root, kind, scope)

    def scopes(self, kind: str | None = None) -> list[tuple[str, str]]:
        """Return the kind and the name of each scope, sorted. With `kind`, only the scopes of this kind."""
        folders = self.root.glob(f"{kind or '*'}/*")
        return sorted((path.parent.name, path.name) for path in folders if path.is_dir())
