"""Find the files of the served library maps. The service sends the files unchanged, so it does not need pyarrow to read
them.
"""

import os
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import BinaryIO, TypeVar

from thumblab_core.library_map.atlases import ATLASES, Atlases, page_name, read_atlases
from thumblab_core.library_map.clusters import CLUSTERS, read_clusters
from thumblab_core.library_map.files import LIBRARY_MAP
from thumblab_core.library_map.map_figures import Cluster
from thumblab_core.library_map.points import POINTS
from thumblab_core.library_map.tiles import TILES, Tiles, read_tiles, tile_name
from thumblab_core.releases.release import ALL, Release, ReleaseError, UnreadError, file_checksum
from thumblab_core.releases.release_store import ReleaseStore

_VERIFIED = 10_000
"""Maximum number of files of which this process remembers that they match their checksums."""
T = TypeVar("T")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class NoMapError(Exception):
    """The error that is raised if no map is served, or if the served map does not have the requested file."""


@dataclass(frozen=True)
class MapFile:
    """An open file of a served map, with its size in bytes and its SHA-256. The caller must close the file.

    The file stays readable if the release is deleted in the meantime.
    """

    file: BinaryIO
    size: int
    sha256: str
    release_id: str


class ServedMaps:
    """The files of the served maps. Each file is compared with its checksum before it is sent for the first time."""

    def __init__(self, store: ReleaseStore) -> None:
        self._store = store
        self._verified: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._lock = Lock()

    def points(self, scope: str) -> MapFile:
        return self._open(self._release(scope), POINTS)

    def page(self, scope: str, sha256: str) -> MapFile:
        """Return a page (an image file) of the atlases. Raises `NoMapError` if the served map lacks this page."""
        return self._open(self._release(scope), page_name(sha256) if _SHA256.fullmatch(sha256) else "")

    def tile(self, scope: str, level: int, x: int, y: int) -> MapFile:
        """Return a tile of a large map. Raises `NoMapError` if the served map does not have this tile."""
        return self._open(self._release(scope), tile_name(level, x, y))

    def atlases(self, scope: str) -> tuple[Release, Atlases, Tiles | None]:
        """Return the levels of the atlases, and the tiles of a large map."""
        release = self._release(scope)
        tiles = self._parsed(release, TILES, read_tiles) if TILES in release.files else None
        return release, self._parsed(release, ATLASES, read_atlases), tiles

    def clusters(self, scope: str) -> tuple[Release, tuple[Cluster, ...]]:
        release = self._release(scope)
        return release, self._parsed(release, CLUSTERS, read_clusters)

    def _release(self, scope: str) -> Release:
        release = self._store.serving.current(LIBRARY_MAP, scope)
        if release is None:
            job = "`map_all_libraries`" if scope == ALL else "`map_library` for this niche"
            raise NoMapError(f"no map of {scope} is served yet; run the job {job} in Dagster")
        return release

    def _parsed(self, release: Release, name: str, read: Callable[[bytes], T]) -> T:
        """Read a file with the function `read`, and return the result. The file matches its checksum, but another
        version of the lab may have written it.
        """
        opened = self._open(release, name)
        with opened.file:
            content = opened.file.read()
        try:
            return read(content)
        except ValueError as error:
            problem = f"{release}: {name} has content that this version of the lab does not know"
            raise ReleaseError(f"{problem}; repeat the job that makes the map") from error

    def _open(self, release: Release, name: str) -> MapFile:
        # Only names in the manifest are used as paths, so a request cannot name any other file.
        sha256 = release.files.get(name)
        if sha256 is None:
            raise NoMapError(
                f"the served map of {release.scope} has no such file; a new map may be served, so read its atlases again"
            )
        self._verify(release, name, sha256)
        try:
            file = (release.path / name).open("rb")
        except FileNotFoundError as error:
            raise UnreadError(f"{release}: {name} is gone, because a new map is served; try again") from error
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        return MapFile(file, size, sha256, release.release_id)

    def _verify(self, release: Release, name: str, sha256: str) -> None:
        key = (release.release_id, name)
        with self._lock:
            if key in self._verified:
                return
        try:
            found = file_checksum(release.path / name)
        except OSError as error:
            raise UnreadError(f"{release}: {name} cannot be read now ({error}); try again") from error
        if found != sha256 and not release.mend(name):
            raise ReleaseError(f"{release}: {name} does not match its checksum; repeat the job that makes the map")
        with self._lock:
            self._verified[key] = None
            if len(self._verified) > _VERIFIED:
                self._verified.popitem(last=False)
