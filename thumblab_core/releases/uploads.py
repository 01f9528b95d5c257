"""Upload a release to an object store, and delete releases and abandoned uploads.

A release exists in the store if its manifest exists. All other files are uploaded first, and the manifest is created
last. So a reader finds the complete release or no release.

An upload that was stopped has no manifest. `sweep` deletes its files when the newest of them is older than `GRACE`, by
the clock of the store. An upload that still runs writes a small object every minute, so its newest object is never
older than `GRACE`.

A process may be paused during an upload, and continue after `sweep`. So before `sweep` deletes a file, it creates an
object with the content `MARK`, the mark, at the place of the manifest. The paused process can then no longer create its
manifest, and raises an error. A mark does not count as a manifest. It is deleted after `MARK_KEPT`.
"""

import secrets
import threading
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from thumblab_core.object_store.bucket import Bucket, Entry, StoreError
from thumblab_core.releases.file_cache import MANIFEST
from thumblab_core.releases.release import Release, ReleaseError, is_release_id

GRACE = timedelta(hours=1)
"""An upload counts as abandoned if its newest object was written longer ago than this time."""
MARK_KEPT = timedelta(days=7)
"""The time after which the mark of an abandoned upload is deleted."""
MARK = b"{}"
"""The content of the manifest of a release whose upload was abandoned. No real manifest is so short."""

_UPLOAD_S = 24 * 3600.0
"""The longest time that an upload may take. This time is much shorter than `MARK_KEPT`, so no upload is still running
when its mark is deleted.
"""
_SIGN_S = 60.0
_SIGN = ".uploading"


@dataclass(frozen=True)
class Uploads:
    """The uploads of one scope, whose objects are in the folder `folder` of the bucket."""

    bucket: Bucket
    folder: str

    def upload(self, staging: Path, release_id: str, files: Mapping[str, str], sharing: Release | None) -> None:
        """Upload the files of a release from the folder `staging`, and then its manifest.

        Files that are the same as files of the release `sharing` are copied inside the store. Raises `ReleaseError` if
        the upload took so long that `sweep` has abandoned it.
        """
        began, place = _seconds(), f"{self.folder}/{release_id}"
        with self._signing(f"{place}/{_SIGN}"):
            for name, sha256 in files.items():
                if sharing is None or sharing.files.get(name) != sha256 or not self._copy(sharing, name, place):
                    self.bucket.upload(f"{place}/{name}", staging / name)
        # The sizes are checked, because a sweep may have deleted some of the files while this process was paused.
        sizes = {entry.key: entry.size for entry in self.bucket.entries(place)}
        whole = all(sizes.get(f"{place}/{name}") == (staging / name).stat().st_size for name in files)
        manifest = (staging / MANIFEST).read_bytes()
        if not whole or _seconds() - began > _UPLOAD_S or not self._create(f"{place}/{MANIFEST}", manifest):
            raise ReleaseError(
                f"the upload of {place} to {self.bucket} took so long that it was abandoned; publish the release again"
            )

    def require_whole(self, release: Release) -> None:
        """Raise `ReleaseError` if a file of a release is missing in the store or has the wrong size there."""
        place = f"{self.folder}/{release.release_id}"
        sizes = {entry.key: entry.size for entry in self.bucket.entries(place)}
        for name in release.files:
            if sizes.get(f"{place}/{name}") != (release.path / name).stat().st_size:
                raise ReleaseError(
                    f"{release}: {name} is missing or has another size in {self.bucket}; publish the release again"
                )

    def delete(self, release_id: str) -> None:
        """Delete all files of a release. The manifest is deleted first, so that nobody reads a part of the release."""
        place = f"{self.folder}/{release_id}"
        self.bucket.delete([f"{place}/{MANIFEST}"])
        self.bucket.delete([entry.key for entry in self.bucket.entries(place)])

    def published(self) -> list[str]:
        """Return the ids of the releases that have a manifest, in any order."""
        return [release_id for release_id, entries in self._by_release().items() if _manifest_size(entries) > len(MARK)]

    def sweep(self) -> None:
        """Delete the files of abandoned uploads, and marks that are no longer needed."""
        unfinished = {id: entries for id, entries in self._by_release().items() if _manifest_size(entries) <= len(MARK)}
        if not unfinished:
            return
        now = self.bucket.now(self.folder)
        for release_id, entries in unfinished.items():
            manifest = f"{self.folder}/{release_id}/{MANIFEST}"
            rest = [entry.key for entry in entries if entry.key != manifest]
            age = now - max(entry.modified for entry in entries)
            if len(rest) < len(entries):  # There is a mark, so an earlier sweep has abandoned the upload.
                self.bucket.delete(rest)
                if age > MARK_KEPT:
                    self.bucket.delete([manifest])
            elif age > GRACE and self.bucket.create(manifest, MARK) is not None:
                self.bucket.delete(rest)

    def _copy(self, source: Release, name: str, place: str) -> bool:
        """Copy a file of another release inside the store. Return False if the store cannot copy it."""
        try:
            self.bucket.copy(f"{self.folder}/{source.release_id}/{name}", f"{place}/{name}")
        except (FileNotFoundError, StoreError):  # The file was deleted meanwhile, or is too large to copy.
            return False
        return True

    def _create(self, key: str, content: bytes) -> bool:
        """Create an object. Return whether the store now has an object with this content.

        The result is also True if an earlier attempt created the object, but the store's answer was lost.
        """
        if self.bucket.create(key, content) is not None:
            return True
        found = self.bucket.read(key)
        return found is not None and found.content == content

    def _by_release(self) -> dict[str, list[Entry]]:
        releases: dict[str, list[Entry]] = defaultdict(list)
        for entry in self.bucket.entries(self.folder):
            release_id = entry.key.removeprefix(f"{self.folder}/").partition("/")[0]
            if is_release_id(release_id):
                releases[release_id].append(entry)
        return releases

    @contextmanager
    def _signing(self, key: str) -> Iterator[None]:
        """Write an object every minute, to show that the upload is still running."""
        ended = threading.Event()

        def sign() -> None:
            while not ended.wait(_SIGN_S):
                with suppress(StoreError):  # The object is written again a minute later.
                    self.bucket.write(key, secrets.token_hex(8).encode())

        self.bucket.write(key, b"")
        thread = threading.Thread(target=sign, daemon=True, name="uploading")
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            with suppress(StoreError):
                self.bucket.delete([key])


def _manifest_size(entries: Collection[Entry]) -> int:
    return max(
        (entry.size for entry in entries if entry.key.count("/") and entry.key.endswith(f"/{MANIFEST}")), default=0
    )


def _seconds() -> float:
    """Return the time in seconds since the machine started. This time also counts while the machine sleeps, and does
    not change if a person sets the clock.
    """
    return time.clock_gettime(time.CLOCK_BOOTTIME)
