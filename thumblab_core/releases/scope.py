"""The interface of a place that keeps the releases of one scope. The release store uses this interface only.

Two classes have this interface: `ScopeFolder` on a disk, and `ScopeObjects` in an object store.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from thumblab_core.releases.release import NewerFormatError, Release, ReleaseError, UnreadError

HISTORY_LENGTH = 200
"""Number of promotions that the history keeps. A rollback can go back to any of these promotions."""


@dataclass(frozen=True)
class Hold:
    """A person's decision to keep an older release served.

    `since` is the time of the decision, and `reason` is why it was made. `displaced` is the id of the release that was
    served before the decision.
    """

    since: str
    reason: str
    displaced: str | None

    def __str__(self) -> str:
        return f"{self.reason}, since {self.since}"


@dataclass(frozen=True)
class ScopeRecord:
    """What a scope records beside its releases: the pointer, the promotions, the hold, and the last number."""

    pointer: str | None
    promoted: tuple[str, ...]
    hold: Hold | None
    number: int


class Scope(Protocol):
    """The releases, the pointer, the history and the hold of one scope.

    Methods that read never wait for a writer. Methods that write must be called inside `writing`.
    """

    @property
    def kind(self) -> str: ...

    @property
    def scope(self) -> str: ...

    def get(self, release_id: str) -> Release:
        """Return the release with the id `release_id`. Raises `ReleaseError` if its manifest cannot be read."""

    def has(self, release_id: str) -> bool:
        """Return whether a release with this id was published and not deleted."""

    def release_ids(self) -> list[str]:
        """Return the ids of all published releases in any order, even if their manifests cannot be read."""

    def pointer(self) -> str | None:
        """Return the id of the served release, "" after `move_pointer("")`, and None if nothing was ever promoted."""

    def promoted(self) -> list[str]:
        """Return the ids of the promoted releases in the order of promotion. Deleted releases are included."""

    def held(self) -> Hold | None:
        """Return the hold of the scope's pointer, or None if no person holds the pointer."""

    def record(self) -> ScopeRecord:
        """Return what the scope records. All parts are from one moment if this place can read them together."""

    def write_record(self, record: ScopeRecord) -> None:
        """Replace the scope's pointer, history, hold and number by the ones in `record`. The number never falls.

        If nothing was ever promoted in the other place, the pointer and the history stay. This place must have the
        served release already. Otherwise, an object store raises `ReleaseError`.
        """

    def writing(self) -> AbstractContextManager[None]:
        """Prepare the `with` block for writing. `ReleaseError` is raised if the place cannot be written."""

    def changing(self, patience: float) -> AbstractContextManager[None]:
        """Wait until no other process is inside `changing`, and keep other processes out during the `with` block. See
        `Serving.changing`.
        """

    def next_number(self, above: int = 0) -> int:
        """Return a number above `above` and above every earlier number of the scope."""

    def staging(self) -> AbstractContextManager[Path]:
        """Return a new empty folder on this machine's disk, in which a release is made."""

    def publish(self, staging: Path, release_id: str, sharing: Release | None = None) -> None:
        """Make the complete staging folder a release.

        Some files of the folder may equal files of the release `sharing`. An object store then need not store these
        files again.
        """

    def promote(self, release: Release) -> None:
        """Move the pointer to a release, and add the release to the history."""

    def move_pointer(self, release_id: str) -> None:
        """Move the pointer to a release, or to no release if the id is ""."""

    def hold(self, hold: Hold) -> None: ...

    def resume(self) -> None: ...

    def delete(self, release_ids: Sequence[str]) -> list[str]:
        """Delete releases, except a release that is served. Return the ids of the deleted releases."""

    def sweep(self) -> None:
        """Delete the incomplete releases that crashed processes left."""


class ScopePlaces(Protocol):
    """The place that keeps all scopes of a release store."""

    def scope(self, kind: str, scope: str) -> Scope: ...

    def scopes(self, kind: str | None = None) -> list[tuple[str, str]]:
        """Return the kind and the name of each scope, sorted. With `kind`, only the scopes of this kind."""


def readable_releases(scope: Scope) -> list[Release]:
    """Return every published release, oldest first, except releases whose manifest is missing or damaged.

    Raises `UnreadError` if a manifest could not be read this time, and `NewerFormatError` if a newer version of the lab
    wrote a manifest. If such a release were left out, an older release could look like the newest.
    """
    releases = []
    for release_id in scope.release_ids():
        try:
            releases.append(scope.get(release_id))
        except (UnreadError, NewerFormatError):
            raise
        except ReleaseError:
            continue
    return sorted(releases, key=lambda release: release.order)
