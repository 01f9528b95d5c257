"""The store of releases: publish, list, verify and delete them.

A release is written to a staging folder, synced and renamed, so that a reader finds the whole release or no release. A
published release is not served until it is promoted, see `ReleaseStore.serving`.
"""

import json
import os
import shutil
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from thumblab_core.durable_files import NO_LINKS, sync
from thumblab_core.releases.copying import bring
from thumblab_core.releases.release import (
    FORMAT,
    Release,
    ReleaseError,
    UnreadError,
    content_digest,
    file_checksum,
)
from thumblab_core.releases.scope import Scope, ScopePlaces, readable_releases
from thumblab_core.releases.scope_folder import FolderOfScopes
from thumblab_core.releases.serving import Serving


class ReleaseStore:
    """The releases under one folder or in one object store. Readers never wait. Writers of one scope wait for each other.

    The attribute `serving` tells which release of a scope is served, and can serve another release.
    """

    def __init__(self, root: Path | ScopePlaces) -> None:
        self.root = root
        self._places: ScopePlaces = FolderOfScopes(root) if isinstance(root, Path) else root
        self._scope = self._places.scope
        self.serving = Serving(self._scope)

    def publish(
        self,
        kind: str,
        scope: str,
        write: Callable[[Path], None],
        info: dict[str, Any],
        run_id: str | None = None,
        sharing: Release | None = None,
    ) -> Release:
        """Let the function `write` fill an empty folder, and make the folder a release that is not served yet.

        `write` gets the path of the folder. Files that `write` does not make are taken from the release `sharing`, as
        hard links if the file system has them. A release that differs from `sharing` only in small files then takes
        little space.

        `info` must be JSON. By convention, `info["inputs"]` is a digest of all data that the release was made from.
        `unchanged` compares this digest, to find out whether there is anything new to publish.
        """
        place = self._scope(kind, scope)
        with place.writing(), place.staging() as staging:
            write(staging)
            files = {}
            for path in sorted(p for p in staging.rglob("*") if p.is_file()):
                files[path.relative_to(staging).as_posix()] = file_checksum(path)
                sync(path)
            if sharing is not None:
                files |= _take_over(sharing, staging, without=files)
            created = datetime.now(UTC)
            release_id = f"{created:%Y%m%dT%H%M%S%f}Z-{content_digest(files, info)}"
            manifest = {
                "format": FORMAT,
                "kind": kind,
                "scope": scope,
                "release_id": release_id,
                "number": place.next_number(),
                "created_at": created.isoformat(),
                "run_id": run_id,
                "info": info,
                "files": files,
            }
            (staging / "manifest.json").write_text(json.dumps(manifest, indent=2, sort_keys=True))
            sync(staging / "manifest.json")
            place.publish(staging, release_id, sharing)
        return place.get(release_id)

    def restore(self, kind: str, scope: str, release_id: str, copy: Path) -> Release:
        """Bring a removed release back from a copy of its folder. If the store still has the release, nothing is
        changed.

        Raises `ReleaseError` if the copy is incomplete, damaged or different from the release that was published.
        """
        place = self._scope(kind, scope)
        with place.writing():
            bring(place, release_id, copy)
        return place.get(release_id)

    def place(self, kind: str, scope: str) -> Scope:
        """Return the place of one scope, for the module `copying`."""
        return self._scope(kind, scope)

    def mark(self, kind: str, scope: str) -> int:
        """Return a new number of the scope, which marks this moment. Later releases get higher numbers."""
        place = self._scope(kind, scope)
        with place.writing():
            return place.next_number()

    def scopes(self, kind: str | None = None) -> list[tuple[str, str]]:
        """Return the kind and the name of each scope, sorted. With `kind`, only the scopes of this kind.

        A scope may have no release.
        """
        return self._places.scopes(kind)

    def get(self, kind: str, scope: str, release_id: str) -> Release:
        """Return the release with the id `release_id`. Raises `ReleaseError` if its manifest cannot be read."""
        return self._scope(kind, scope).get(release_id)

    def all(self, kind: str, scope: str) -> list[Release]:
        """Return every published release of the scope, oldest first.

        Releases whose manifest is missing or damaged are left out. Raises `UnreadError` if a manifest could not be read
        this time, and `NewerFormatError` if a newer version of the lab wrote a manifest.
        """
        return readable_releases(self._scope(kind, scope))

    def latest(self, kind: str, scope: str) -> Release | None:
        """Return the newest published release, even if it is not served. Return None if the scope has no release."""
        releases = self.all(kind, scope)
        return releases[-1] if releases else None

    def unchanged(self, kind: str, scope: str, inputs: str) -> Release | None:
        """Return the newest release if it was made from `inputs` and is not damaged, else None.

        `inputs` is a digest, see `publish`. If a release is returned, there is nothing new to publish. Raises
        `UnreadError` if a file could not be read this time.
        """
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
        """Delete old releases, and files that crashed processes left. Return the ids of the deleted releases.

        The newest `keep` releases, the served release and the releases with an id in `spare` are not deleted.
        """
        place = self._scope(kind, scope)
        with place.writing():
            place.sweep()
            stay = {place.pointer(), *spare}
            old = readable_releases(place)[:-keep]
            return place.delete([release.release_id for release in old if release.release_id not in stay])

    def remove(self, release: Release) -> None:
        """Delete a release, if it still exists. Raises `ReleaseError` if the release is served."""
        place = self._scope(release.kind, release.scope)
        with place.writing():
            if place.pointer() == release.release_id or not place.delete([release.release_id]):
                raise ReleaseError(f"{release} is served; promote another release before removing it")

    def discard_unreadable(self, kind: str, scope: str) -> list[str]:
        """Delete every release whose manifest is missing or damaged, because its content is unknown. Return their ids.

        If the served release is deleted, no release of the scope is served any more. Raises `UnreadError` and deletes
        nothing if a manifest could not be read this time.
        """
        place = self._scope(kind, scope)
        with place.writing():
            # In an object store, another process may publish a release at this moment, because there is no lock. So the
            # ids are listed first. A new release is then not among them, and is not deleted.
            release_ids = place.release_ids()
            readable = {release.release_id for release in readable_releases(place)}
            unreadable = [release_id for release_id in release_ids if release_id not in readable]
            for release_id in unreadable:
                if release_id == place.pointer():
                    place.move_pointer("")
            place.delete(unreadable)
        return unreadable


def _take_over(release: Release, staging: Path, without: Mapping[str, str]) -> dict[str, str]:
    """Link or copy all files of the release, except the files in `without`, into `staging`. Return their checksums."""
    files = {name: checksum for name, checksum in release.files.items() if name not in without}
    for name, checksum in files.items():
        path = staging / name
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(release.path / name, path)
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            shutil.copyfile(release.path / name, path)
            if file_checksum(path) != checksum:
                raise OSError(f"{release}: {name} does not match its checksum") from None
            sync(path)
    return files
