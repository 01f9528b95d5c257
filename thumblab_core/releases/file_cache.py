"""Keep copies of an object store's releases on this machine's disk, and notice copies that have changed.

    <cache>/<kind>/<scope>/<release_id>/            the files of the release, and its manifest
    <cache>/<kind>/<scope>/<release_id>.copied      size and modification time of each file when it was verified
    <cache>/<kind>/<scope>/<release_id>.lock        locked while a process uses the copy
    <cache>/<kind>/<scope>/<release_id>.filling     locked while a process fills the copy
    <cache>/<kind>/<scope>/.staging-*               a release that is being made

A file gets its name only after its SHA-256 was compared with the manifest, which comes from the store. Before each use,
the size and the modification time of every file are compared with the file `.copied`. `Release.verify` also compares
the content.
"""

import fcntl
import hashlib
import json
import logging
import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from thumblab_core.releases.release import Release, ReleaseError, UnreadError

MANIFEST = "manifest.json"
_UNUSED_S = 7 * 86_400.0
"""A copy that was not used for this number of seconds is deleted, because its release may contain the ids of
deleted videos.
"""
_COPIED, _LOCK, _FILLING, _STAGING = ".copied", ".lock", ".filling", ".staging-"

_log = logging.getLogger(__name__)

Download = Callable[[str], Iterable[bytes]]
"""A function that takes the name of a file of a release, and returns the content of the file in parts."""


@dataclass(frozen=True)
class FileCache:
    """A folder with copies of releases. `limit` is the number of bytes that the folder should not exceed. Copies in use
    are never deleted.
    """

    folder: Path
    limit: int

    def place(self, kind: str, scope: str, release_id: str) -> Path:
        return self.folder / kind / scope / release_id

    def copy_of(self, place: Path, manifest: bytes, download: Download) -> "CachedCopy":
        """Return an object for the copy of a release in the folder `place`. Files are copied when they are needed."""
        return CachedCopy(place, manifest, download, self.shrink)

    @contextmanager
    def staging(self, kind: str, scope: str) -> Iterator[Path]:
        """Return a new empty folder, which is deleted at the end of the `with` block unless it was renamed."""
        parent = self.folder / kind / scope
        parent.mkdir(parents=True, exist_ok=True)
        staging = parent / f"{_STAGING}{secrets.token_hex(6)}"
        staging.mkdir()
        handle = os.open(staging, os.O_RDONLY)
        try:
            # The lock shows that the process still uses this folder. When the process ends or is killed, the kernel
            # releases the lock.
            fcntl.flock(handle, fcntl.LOCK_SH)
            yield staging
        finally:
            os.close(handle)
            shutil.rmtree(staging, ignore_errors=True)

    def keep(self, staging: Path, place: Path, files: Mapping[str, str]) -> None:
        """Move a staging folder to `place`, where it becomes the copy of its release. `files`: SHA-256 of each verified
        file.
        """
        with _locked(place, fcntl.LOCK_EX):
            if not place.exists():
                staging.rename(place)
                _record(place, files)
        self.shrink()

    def sweep(self, kind: str, scope: str) -> None:
        """Delete the staging folders that crashed processes left in the folder of a scope."""
        parent = self.folder / kind / scope
        for staging in parent.glob(f"{_STAGING}*"):
            with suppress(OSError):
                handle = os.open(staging, os.O_RDONLY)
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(staging)
                finally:
                    os.close(handle)

    def forget(self, place: Path) -> None:
        """Delete the copy of a deleted release. A copy that a process uses stays, and `shrink` deletes it later."""
        with suppress(OSError), _locked(place, fcntl.LOCK_EX | fcntl.LOCK_NB):
            _delete_copy(place)

    def shrink(self) -> None:
        """Delete the copies that were not used for a week. If the cache is still larger than its limit, delete more
        copies, the least recently used first.
        """
        copies = sorted((copy for scope in self.folder.glob("*/*") for copy in _copies(scope)), key=_last_use)
        sizes = {copy: _size(copy) for copy in copies}
        total = sum(sizes.values())
        for copy in copies:
            if total <= self.limit and time.time() - _last_use(copy) < _UNUSED_S:
                return
            with suppress(OSError), _locked(copy, fcntl.LOCK_EX | fcntl.LOCK_NB):
                _delete_copy(copy)
                total -= sizes[copy]
        if total > self.limit:
            _log.warning(
                "the copies of releases in %s are larger than the limit of the cache, but all of them are in use",
                self.folder,
            )


@dataclass
class CachedCopy:
    """The copy of one release. It is not deleted before this object is freed.

    `manifest` is the content of the manifest in the store. `download` reads a file of the release from the store.
    """

    place: Path
    manifest: bytes
    download: Download
    shrink: Callable[[], None]
    _use: IO[str] | None = field(default=None, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def folder(self, release: Release) -> Path:
        """Return the folder with all files of the release. Missing and changed files are fetched from the store.

        Raises `UnreadError` if a file cannot be fetched now, and `ReleaseError` if the store's file is damaged.
        """
        files = {**release.files, MANIFEST: hashlib.sha256(self.manifest).hexdigest()}
        with self._lock, _explained(release):
            if self._use is None:
                self._use = _open_locked(self.place, fcntl.LOCK_SH)
            if _changed(self.place, files):
                with _filling(self.place):
                    for name in _changed(self.place, files):
                        if _is_recorded(self.place, name):
                            _log.warning(
                                "%s: the copy of %s has changed in the cache; fetching it again", release, name
                            )
                        self._fetch(release, name, files[name])
                self.shrink()
            os.utime(_beside(self.place, _LOCK))
        return self.place

    def mend(self, release: Release, name: str) -> None:
        """Fetch a file again, because its copy does not match its checksum. Raises the same errors as `folder`."""
        _log.warning("%s: the copy of %s in the cache does not match its checksum; fetching it again", release, name)
        with self._lock, _explained(release), _filling(self.place):
            # Another copy may be a hard link to the damaged file, so the file is always downloaded.
            self._fetch(release, name, release.files[name], may_link=False)

    def _fetch(self, release: Release, name: str, sha256: str, may_link: bool = True) -> None:
        target = self.place / name
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".part-{secrets.token_hex(6)}")
        try:
            if not (may_link and _link_same(self.place, sha256, part)):
                digest = hashlib.sha256()
                with part.open("wb") as file:
                    for chunk in [self.manifest] if name == MANIFEST else self.download(name):
                        digest.update(chunk)
                        file.write(chunk)
                if digest.hexdigest() != sha256:
                    raise ReleaseError(
                        f"{release}: {name} in the object store does not match its checksum; roll back, or publish the "
                        "release again"
                    )
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
        _record(self.place, {name: sha256})


def _changed(place: Path, files: Mapping[str, str]) -> list[str]:
    """Return the names of the files whose copy is missing, or differs from the copy that was verified."""
    recorded = _recorded(place)
    return [name for name, sha256 in files.items() if recorded.get(name) != [sha256, *_stat(place / name)]]


def _is_recorded(place: Path, name: str) -> bool:
    return name in _recorded(place)


def _recorded(place: Path) -> dict[str, list[Any]]:
    """Return the SHA-256, the size and the modification time of each verified file of a copy."""
    try:
        record = json.loads(_beside(place, _COPIED).read_text())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _record(place: Path, files: Mapping[str, str]) -> None:
    """Record that these files of a copy are verified now."""
    record = _recorded(place) | {name: [sha256, *_stat(place / name)] for name, sha256 in files.items()}
    aside = place.with_name(f".aside-{secrets.token_hex(6)}")
    aside.write_text(json.dumps(record))
    aside.replace(_beside(place, _COPIED))


def _stat(path: Path) -> list[int]:
    try:
        stat = path.stat()
    except OSError:
        return []
    return [stat.st_size, stat.st_mtime_ns]


def _beside(place: Path, suffix: str) -> Path:
    return place.with_name(place.name + suffix)


def _link_same(place: Path, sha256: str, target: Path) -> bool:
    """Make `target` a hard link of an unchanged file with this checksum in another copied release.

    Return False if there is no such file.
    """
    for other in _copies(place.parent):
        for name, facts in _recorded(other).items() if other != place else ():
            if facts == [sha256, *_stat(other / name)]:
                with suppress(OSError):  # The copy was deleted meanwhile, or the file system has no hard links.
                    os.link(other / name, target)
                    return True
    return False


def _copies(folder: Path) -> list[Path]:
    # Each copy has a lock file from its beginning. A process that was killed may have left a copy without a record.
    return [path.with_name(path.name.removesuffix(_LOCK)) for path in folder.glob(f"*{_LOCK}")]


def _last_use(place: Path) -> float:
    with suppress(OSError):
        return _beside(place, _LOCK).stat().st_mtime
    return 0.0


def _size(place: Path) -> int:
    return sum(facts[1] for facts in _recorded(place).values() if len(facts) > 1)


def _delete_copy(place: Path) -> None:
    # The record is deleted first, so that an incomplete copy is never mistaken for a complete copy.
    _beside(place, _COPIED).unlink(missing_ok=True)
    shutil.rmtree(place, ignore_errors=True)
    for suffix in (_FILLING, _LOCK):
        _beside(place, suffix).unlink(missing_ok=True)


def _open_locked(place: Path, mode: int) -> IO[str]:
    """Open and lock the lock file of a copy. Raises `BlockingIOError` if another process has the lock and `mode` says
    not to wait.
    """
    path = _beside(place, _LOCK)
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        file = path.open("a")
        try:
            fcntl.flock(file, mode)
            if path.exists() and os.path.samestat(path.stat(), os.fstat(file.fileno())):
                return file
        except BaseException:
            file.close()
            raise
        file.close()  # Another process deleted this lock file before this process locked it.


@contextmanager
def _locked(place: Path, mode: int) -> Iterator[None]:
    with _open_locked(place, mode):
        yield


@contextmanager
def _filling(place: Path) -> Iterator[None]:
    """Let only one process at a time write files into the copy of a release in `place`."""
    place.mkdir(parents=True, exist_ok=True)
    with _beside(place, _FILLING).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _explained(release: Release) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise UnreadError(f"{release} is not in the object store any more ({error}); read the pointer again") from error
    except OSError as error:
        raise UnreadError(f"{release} cannot be copied from the object store now ({error}); try again later") from error
