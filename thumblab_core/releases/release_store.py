"""Releases: immutable, versioned folders of artifacts, and a pointer per scope to the one that is served.

    <store>/<kind>/<scope>/<release_id>/manifest.json + files
    <store>/<kind>/<scope>/CURRENT                       the release_id that is served
    <store>/<kind>/<scope>/SERVED                        the releases that were promoted, one to a line
    <store>/<kind>/<scope>/HELD                          why nothing newer is to be served, where a person said so
    <store>/<kind>/<scope>/NUMBER                        the last number that was given in the scope

What is newer is a question of numbers and never of time: a clock can step back.

Publishing writes aside, syncs, then renames, so a reader sees a whole release or none. Publishing serves nothing:
`promote` moves the pointer, atomically. A reader resolves the pointer once per use and verifies what it reads.
"""

import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from thumblab_core.durable_files import NO_LINKS, sync
from thumblab_core.errors import LabError

FORMAT = 2
"""2: an index may hold changes beside what was built at once. Releases of format 1 have none, and are read as they are."""
_READABLE = (1, FORMAT)

INDEX, PAIRS, MODEL, ENCODER = "index", "pairs", "model", "encoder"
"""The kinds of releases. An index has a scope per niche, an encoder one per model and weights; the others one for all."""
ALL = "all"

_POINTER, _HELD, _HISTORY, _NUMBER = "CURRENT", "HELD", "SERVED", "NUMBER"
_REMEMBERED = 200
_STAGING, _ASIDE = ".staging-", ".aside-"
_MISSING = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
_RELEASE_ID = re.compile(r"\d{8}T\d{12}Z-[0-9a-f]{8}")


class ReleaseError(LabError):
    """A release is missing, damaged or of another format."""


class UnreadError(ReleaseError):
    """The system refused to read a release this time, which says nothing about what is in it."""

    transient = True


class BusyError(ReleaseError):
    """Another process was changing the scope for as long as this one waited."""

    transient = True


@dataclass(frozen=True)
class Release:
    """One published release. `info` is what its producer said of it; `files` maps a name to its SHA-256.

    `number` rises with every publication in the scope; 0 in releases that were made before there were numbers.
    """

    kind: str
    scope: str
    release_id: str
    path: Path
    created_at: str
    run_id: str | None
    info: dict[str, Any]
    files: dict[str, str]
    number: int = 0

    @property
    def order(self) -> tuple[int, str]:
        """What sorts the releases of a scope, oldest first; those without a number by the time in their ids."""
        return self.number, self.release_id

    def verify(self, known: Mapping[str, str] | None = None) -> None:
        """Raise `ReleaseError` unless the manifest is the published one and every file has its checksum.

        Of the files in `known`, with the checksum that the manifest has, the caller holds the content already: they are not
        read again.
        """
        if not self.release_id.endswith(_content(self.files, self.info)):
            raise ReleaseError(f"{self}: the manifest is not the one that was published; roll back or publish anew")
        for name, checksum in self.files.items():
            if known is not None and known.get(name) == checksum:
                continue
            with _reading(f"{self}: {name} cannot be read"):
                found = _checksum(self.path / name)
            if found != checksum:
                raise ReleaseError(f"{self}: {name} does not match its checksum; roll back or publish anew")

    def read(self, name: str) -> bytes:
        """A file's content, not verified. Raises `ReleaseError` where it is missing, `UnreadError` where it is not read."""
        with _reading(f"{self}: {name} cannot be read"):
            return (self.path / name).read_bytes()

    def __str__(self) -> str:
        return f"{self.kind}/{self.scope}/{self.release_id}"


@dataclass(frozen=True)
class Hold:
    """That a person serves an older release: since when, why, and instead of which one."""

    since: str
    reason: str
    displaced: str | None

    def __str__(self) -> str:
        return f"{self.reason}, since {self.since}"


class ReleaseStore:
    """The releases under one folder. Any number of readers; writers of one scope wait for each other."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def publish(
        self,
        kind: str,
        scope: str,
        write: Callable[[Path], None],
        info: dict[str, Any],
        run_id: str | None = None,
        sharing: Release | None = None,
    ) -> Release:
        """Let `write` fill an empty folder and make it a release that nobody serves yet.

        What it does not write is taken over from the release `sharing`, as hard links where the file system has them: a
        large release that differs in a small file costs a small file.

        `info` must be JSON; by convention `info["inputs"]` is a digest of all that went in, so that a producer can see that
        there is nothing new to publish (`unchanged`).
        """
        folder = self._scope(kind, scope)
        with self._writing(folder):
            staging = folder / f"{_STAGING}{secrets.token_hex(6)}"
            staging.mkdir()
            write(staging)
            files = {}
            for path in sorted(p for p in staging.rglob("*") if p.is_file()):
                files[path.relative_to(staging).as_posix()] = _checksum(path)
                sync(path)
            if sharing is not None:
                files |= _taken_over(sharing, staging, without=files)
            created = datetime.now(UTC)
            release_id = f"{created:%Y%m%dT%H%M%S%f}Z-{_content(files, info)}"
            manifest = {
                "format": FORMAT,
                "kind": kind,
                "scope": scope,
                "release_id": release_id,
                "number": self._next_number(kind, scope),
                "created_at": created.isoformat(),
                "run_id": run_id,
                "info": info,
                "files": files,
            }
            (staging / "manifest.json").write_text(json.dumps(manifest, indent=2, sort_keys=True))
            sync(staging / "manifest.json")
            sync(staging)
            staging.rename(folder / release_id)
            sync(folder)
        return self.get(kind, scope, release_id)

    def mark(self, kind: str, scope: str) -> int:
        """A number above all that the scope has given: whatever is published or marked later gets a higher one."""
        with self._writing(self._scope(kind, scope)):
            return self._next_number(kind, scope)

    def _next_number(self, kind: str, scope: str, above: int = 0) -> int:
        """The caller holds the lock. On the disk before it is used: it is not given again once its release is pruned."""
        path = self._scope(kind, scope) / _NUMBER
        try:
            last = int(path.read_text())
        except (FileNotFoundError, ValueError):  # the first one ever, or it was cut off by a power cut
            last = max((release.number for release in self.all(kind, scope)), default=0)
        number = 1 + max(last, above)
        with path.open("w") as file:
            file.write(str(number))
            file.flush()
            os.fsync(file.fileno())
        return number

    def restore(self, kind: str, scope: str, release_id: str, copy: Path) -> Release:
        """Take a release back that was removed, from a copy of its folder. One that is there already is left as it is.

        Raises `ReleaseError` unless the copy is the release that was published, whole and undamaged.
        """
        folder = self._scope(kind, scope)
        with self._writing(folder):
            if not (folder / release_id / "manifest.json").is_file():
                staging = folder / f"{_STAGING}{secrets.token_hex(6)}"
                shutil.copytree(copy, staging)
                try:
                    release = self._read(kind, scope, release_id, staging)
                    release.verify()
                except ReleaseError:
                    shutil.rmtree(staging)
                    raise
                self._next_number(kind, scope, above=release.number)  # it may come from another store
                for path in (*staging.rglob("*"), staging):
                    sync(path)
                staging.rename(folder / release_id)
                sync(folder)
        return self.get(kind, scope, release_id)

    def promote(self, release: Release, known: Mapping[str, str] | None = None) -> None:
        """Verify the release, but for what is `known` of it (see `Release.verify`), and make it the one that is served."""
        folder = self._scope(release.kind, release.scope)
        with self._writing(folder):
            # Under the lock, or a prune could take it between being verified and being served.
            self.get(release.kind, release.scope, release.release_id).verify(known)
            _replace(folder / _POINTER, release.release_id)
            # Killed before this, what was served last is not in the list: the target of a rollback is never the release
            # that is served.
            history = [*self._history(folder), release.release_id]
            _replace(folder / _HISTORY, "\n".join(history[-_REMEMBERED:]))

    def get(self, kind: str, scope: str, release_id: str) -> Release:
        """The release of that id. Raises `ReleaseError`."""
        return self._read(kind, scope, release_id, self.root / kind / scope / release_id)

    @staticmethod
    def _read(kind: str, scope: str, release_id: str, path: Path) -> Release:
        if not _RELEASE_ID.fullmatch(release_id):
            raise ReleaseError(f"{release_id!r} is no id of a release")
        said = f"{kind}/{scope}/{release_id} has no readable manifest"
        with _reading(said):
            text = (path / "manifest.json").read_bytes()
        try:
            manifest = json.loads(text)
            if manifest["format"] not in _READABLE:
                raise ReleaseError(
                    f"{kind}/{scope}/{release_id} has format {manifest['format']}; this reads up to {FORMAT}. Update the lab"
                )
            return Release(
                kind,
                scope,
                release_id,
                path,
                manifest["created_at"],
                manifest["run_id"],
                dict(manifest["info"]),
                dict(manifest["files"]),
                int(manifest.get("number", 0)),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise ReleaseError(f"{said} ({error})") from None

    def current_id(self, kind: str, scope: str) -> str | None:
        """The id of the release that is served, None when none was promoted. One small read: cheap per request."""
        try:
            return (self.root / kind / scope / _POINTER).read_text().strip() or None
        except FileNotFoundError:
            return None

    def withdrawn(self, kind: str, scope: str) -> bool:
        """Whether nothing is to be served of what was; a pointer that is missing says nothing."""
        try:
            return not (self.root / kind / scope / _POINTER).read_text().strip()
        except FileNotFoundError:
            return False

    def served_before(self, kind: str, scope: str) -> list[Release]:
        """The releases that were promoted, are there still, and are older than the served one; oldest first."""
        served, there = self.current_id(kind, scope), self.all(kind, scope)
        promoted = self._history(self._scope(kind, scope))
        order = next((release.order for release in there if release.release_id == served), None)
        if order is None:  # it is gone or cannot be read: what was promoted before it is older
            promoted = promoted[: promoted.index(served)] if served in promoted else []
        return [r for r in there if r.release_id in promoted and (order is None or r.order < order)]

    def promoted(self, kind: str, scope: str) -> list[str]:
        """The ids of the releases that were promoted, the last one last; also of those that are gone since."""
        return self._history(self._scope(kind, scope))

    @staticmethod
    def _history(folder: Path) -> list[str]:
        try:
            return (folder / _HISTORY).read_text().split()
        except FileNotFoundError:
            return []

    def current(self, kind: str, scope: str) -> Release | None:
        """The release that is served."""
        release_id = self.current_id(kind, scope)
        return None if release_id is None else self.get(kind, scope, release_id)

    def all(self, kind: str, scope: str) -> list[Release]:
        """Every published release of the scope, oldest first; those whose manifest is missing or damaged are left out.

        Raises `UnreadError` where one could not be read now: without it an older one might pass for the newest.
        """
        folder = self.root / kind / scope
        found = []
        if folder.is_dir():
            for path in [p for p in folder.iterdir() if _RELEASE_ID.fullmatch(p.name)]:
                try:
                    found.append(self.get(kind, scope, path.name))
                except UnreadError:
                    raise
                except ReleaseError:
                    continue
        return sorted(found, key=lambda release: release.order)

    def latest(self, kind: str, scope: str) -> Release | None:
        """The newest published release, served or not."""
        releases = self.all(kind, scope)
        return releases[-1] if releases else None

    def unchanged(self, kind: str, scope: str, inputs: str) -> Release | None:
        """The newest release if it was made of these very inputs and still verifies: then there is nothing to publish."""
        release = self.latest(kind, scope)
        if release is None or release.info.get("inputs") != inputs:
            return None
        try:
            release.verify()
        except UnreadError:
            raise
        except ReleaseError:
            return None
        return release

    def prune(self, kind: str, scope: str, keep: int, spare: Collection[str] = ()) -> list[str]:
        """Remove all but the newest `keep` releases, the served one and those to `spare`, and what crashed publications
        left behind."""
        folder = self._scope(kind, scope)
        with self._writing(folder):
            # The lock is ours, so whatever is still staged belongs to a process that died.
            for path in [p for p in folder.iterdir() if p.name.startswith((_STAGING, _ASIDE))]:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            served = self.current_id(kind, scope)
            old = [r for r in self.all(kind, scope)[:-keep] if r.release_id not in {served, *spare}]
            for release in old:
                self._delete(folder, release.release_id)
        return [release.release_id for release in old]

    def remove(self, release: Release) -> None:
        """Delete a release that is not served; that it is gone already is fine. Raises `ReleaseError` for the served one."""
        folder = self._scope(release.kind, release.scope)
        with self._writing(folder):
            if self.current_id(release.kind, release.scope) == release.release_id:
                raise ReleaseError(f"{release} is served; promote another one before it is removed")
            self._delete(folder, release.release_id)

    @contextmanager
    def changing(self, kind: str, scope: str, patience: float = 60.0) -> Iterator[None]:
        """Keep others from changing what is served between reading it and promoting what was made of it.

        Who comes second waits, at most `patience` seconds, and is then told by a `BusyError`. Readers never wait.
        """
        folder = self._scope(kind, scope)
        with _explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
            lock = (folder / ".changing.lock").open("w")
        with lock:
            deadline = time.monotonic() + patience
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= deadline:
                        raise BusyError(
                            f"{kind}/{scope} has been changed by another process for {patience:.0f} s; try again later"
                        ) from None
                    time.sleep(0.01)
            yield

    def hold(self, release: Release, reason: str) -> None:
        """Say that nothing newer than this release is to be served until `resume`; whoever promotes asks `held`."""
        folder = self._scope(release.kind, release.scope)
        with self._writing(folder):
            before = self.held(release.kind, release.scope)  # a second step back is undone with the first
            displaced = self.current_id(release.kind, release.scope) if before is None else before.displaced
            said = Hold(datetime.now(UTC).isoformat(timespec="minutes"), reason, displaced)
            _replace(folder / _HELD, json.dumps(asdict(said)))

    def held(self, kind: str, scope: str) -> Hold | None:
        """Why nothing newer is to be served; None when nothing is held."""
        try:
            return Hold(**json.loads((self.root / kind / scope / _HELD).read_text()))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError):
            return Hold("an unknown time", f"{_HELD} is there and cannot be read", None)

    def resume(self, kind: str, scope: str) -> None:
        """Let what is newer be served again."""
        folder = self._scope(kind, scope)
        with self._writing(folder):
            (folder / _HELD).unlink(missing_ok=True)
            sync(folder)

    def withdraw(self, kind: str, scope: str) -> None:
        """Serve nothing of the scope any more. Its releases stay until they are removed."""
        folder = self._scope(kind, scope)
        with self._writing(folder):
            _replace(folder / _POINTER, "")

    def discard_unreadable(self, kind: str, scope: str) -> list[str]:
        """Delete every release whose manifest is missing or damaged, as nobody can say what it holds.

        A served one is withdrawn. Raises `UnreadError` where one could not be read now, and deletes nothing then.
        """
        folder = self._scope(kind, scope)
        gone = []
        with self._writing(folder):
            readable = {release.release_id for release in self.all(kind, scope)}
            for name in [p.name for p in folder.iterdir() if _RELEASE_ID.fullmatch(p.name) and p.name not in readable]:
                if name == self.current_id(kind, scope):
                    _replace(folder / _POINTER, "")
                self._delete(folder, name)
                gone.append(name)
        return gone

    @staticmethod
    def _delete(folder: Path, release_id: str) -> None:
        # Renamed first: a reader must never find a release with half of its files.
        gone = folder / f"{_STAGING}{release_id}"
        with suppress(FileNotFoundError):
            (folder / release_id).rename(gone)
            shutil.rmtree(gone)

    def _scope(self, kind: str, scope: str) -> Path:
        return self.root / kind / scope

    @contextmanager
    def _writing(self, folder: Path) -> Iterator[None]:
        with _explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / ".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)  # released by the kernel, also when the process is killed
                yield


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ReleaseError(
            f"{folder} cannot be written ({error.strerror or error}); what is served stays. Make room or make it "
            "writable, or set THUMBLAB_RELEASE_DIR"
        ) from error


@contextmanager
def _reading(cannot: str) -> Iterator[None]:
    """Tell a file that is missing (`ReleaseError`) from one that the system did not give this time (`UnreadError`)."""
    try:
        yield
    except OSError as error:
        if not unread(error):
            raise ReleaseError(f"{cannot} ({error})") from error
        raise UnreadError(f"{cannot} now ({error}); try again later, and remove the release if it stays so") from error


def unread(error: BaseException | None) -> bool:
    """Whether an error was raised because the system did not read a file that is there: nobody knows then what it holds.

    Readers of file formats raise `OSError` of damage also, without an `errno`.
    """
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None and not isinstance(error, _MISSING):
            return True
        error = error.__cause__ or error.__context__
    return False


def require_damage(release: Release, error: BaseException) -> None:
    """Raise `UnreadError` unless the error is of what the release holds: before it is treated as damaged."""
    if unread(error):
        raise UnreadError(f"{release} cannot be read now ({error}); try again later") from error


def _taken_over(release: Release, staging: Path, without: Mapping[str, str]) -> dict[str, str]:
    """Put the other files of the release into the folder; their checksums, as the release says them."""
    files = {name: checksum for name, checksum in release.files.items() if name not in without}
    for name in files:
        place = staging / name
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(release.path / name, place)
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            shutil.copyfile(release.path / name, place)
            if _checksum(place) != files[name]:
                raise OSError(f"{release}: {name} does not match its checksum") from None
            sync(place)
    return files


def _replace(path: Path, text: str) -> None:
    """Write a small file whole or not at all; it is on the disk when this returns."""
    aside = path.with_name(f"{_ASIDE}{secrets.token_hex(6)}")
    aside.write_text(text)
    sync(aside)
    aside.replace(path)
    sync(path.parent)


def _content(files: dict[str, str], info: dict[str, Any]) -> str:
    """Eight hex digits that tell one content from another; they end the release id."""
    return hashlib.sha256(json.dumps([files, info], sort_keys=True).encode()).hexdigest()[:8]


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
