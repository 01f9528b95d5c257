"""Read the manifests of the served indices, for answers about the state of the library."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from thumblab_core.errors import LabError
from thumblab_core.index import NicheIndex
from thumblab_core.releases.release import INDEX, Release
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_serving.loading.served_release import ServedRelease
from thumblab_serving.loading.served_releases import ServedReleases


@dataclass(frozen=True)
class ServedIndex:
    """The promoted index of a niche, as its manifest describes it. `release` is None if no manifest can be read.

    `size` is the size of the release's files in bytes. `held` is the reason why a person holds the release, or None if
    nobody holds it. `cached` says whether this process has the release in memory. `reason` says why `release` is None,
    or why this process refused the release.
    """

    release: Release | None
    size: int
    held: str | None
    cached: bool
    reason: str | None

    @property
    def made_at(self) -> datetime | None:
        """When the release was made."""
        return None if self.release is None else datetime.fromisoformat(self.release.created_at)


def served_indices(store: ReleaseStore, releases: ServedReleases) -> Mapping[str, ServedIndex]:
    """Return the promoted index of each niche. The function reads only small files, and loads no index."""
    return {niche: _served_index(store, slot, niche) for niche, slot in releases.indices.items()}


def index_holds(store: ReleaseStore, releases: ServedReleases) -> dict[str, str]:
    """Return why and since when a person holds the index, by niche. Niches whose index is not held are left out."""
    holds: dict[str, str] = {}
    for niche in releases.indices:
        with suppress(LabError, OSError, ValueError):  # If the store cannot be read, the refusal of the index says so.
            hold = store.serving.held(INDEX, niche)
            if hold is not None:
                holds[niche] = str(hold)
    return holds


def _served_index(store: ReleaseStore, slot: ServedRelease[NicheIndex], niche: str) -> ServedIndex:
    held = None
    try:
        release = store.serving.current(INDEX, niche)
        held = store.serving.held(INDEX, niche)
    except (LabError, OSError, ValueError) as error:
        reason = str(error) if isinstance(error, LabError) else f"the pointer cannot be read ({type(error).__name__})"
        return ServedIndex(None, 0, None, False, reason)
    if release is None:
        reason = f"no index of {niche} is served yet; POST /internal/refresh-library makes one"
        return ServedIndex(None, 0, None, False, reason)
    loaded, refusal = slot.loaded, slot.refusal
    cached = loaded is not None and loaded.release_id == release.release_id
    refused = None if refusal is None else refusal.reason
    # Served releases are loaded from this disk, so the sizes of their files can be read here.
    size = sum(_size(release.place / name) for name in release.files)
    return ServedIndex(release, size, None if held is None else str(held), cached, refused)


def _size(path: Path) -> int:
    with suppress(OSError):  # The release may be damaged. The service then refuses the release, and `reason` says why.
        return path.stat().st_size
    return 0
