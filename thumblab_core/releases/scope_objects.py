"""The releases of one scope in an object store.

<kind>/<scope>/state.json                       the pointer, the history, the hold, the counter and the locks
<kind>/<scope>/<release_id>/manifest.json       created last, so a release without it does not exist
<kind>/<scope>/<release_id>/...                 the files of the release
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from thumblab_core.object_store.bucket import Bucket
from thumblab_core.releases.changing_lock import ChangingLocks
from thumblab_core.releases.file_cache import MANIFEST, FileCache
from thumblab_core.releases.known_states import KnownStates
from thumblab_core.releases.release import (
    Release,
    ReleaseError,
    UnreadError,
    is_release_id,
    parse_manifest,
    read_release,
)
from thumblab_core.releases.scope import HISTORY_LENGTH, Hold, ScopeRecord, readable_releases
from thumblab_core.releases.scope_state import ScopeState
from thumblab_core.releases.uploads import MARK, Uploads


class ObjectPlaces:
    """The scopes of a release store whose files are in a bucket. `cache` keeps copies of the releases on this machine.

    `fresh_s`: seconds for which this process uses a pointer that it has read, see `KnownStates`.
    """

    def __init__(self, bucket: Bucket, cache: FileCache, fresh_s: float = 0.0) -> None:
        self.bucket = bucket
        self.cache = cache
        self.states = KnownStates(bucket, fresh_s)
        self.locks = ChangingLocks(self.states)

    def scope(self, kind: str, scope: str) -> "ScopeObjects":
        return ScopeObjects(self, kind, scope)

    def scopes(self, kind: str | None = None) -> list[tuple[str, str]]:
        """Return the kind and the name of each scope, sorted. With `kind`, only the scopes of this kind.

        Raises `UnreadError` if the store cannot be listed at this time.
        """
        try:
            kinds = [kind] if kind else [name for name in self.bucket.folders("") if not name.startswith(".")]
            return sorted((each, scope) for each in kinds for scope in self.bucket.folders(each))
        except OSError as error:
            raise UnreadError(f"the releases cannot be listed now ({error}); try again later") from error

    def __str__(self) -> str:
        return str(self.bucket)


@dataclass(frozen=True)
class ScopeObjects:
    """The objects below `<kind>/<scope>`, see `Scope`. Writers do not wait for each other. If two writers change the
    state at the same time, one of the changes is made again with the newer state.
    """

    places: ObjectPlaces
    kind: str
    scope: str

    @property
    def folder(self) -> str:
        return f"{self.kind}/{self.scope}"

    def get(self, release_id: str) -> Release:
        """Return the release with the id `release_id`. Its files are copied to this machine when they are needed."""
        bucket, place = self.places.bucket, self.places.cache.place(self.kind, self.scope, release_id)
        if not is_release_id(release_id):
            raise ReleaseError(f"{release_id!r} is not the id of a release")
        prefix = f"{self.folder}/{release_id}"
        try:
            stored = bucket.read(f"{prefix}/{MANIFEST}")
        except OSError as error:
            raise UnreadError(f"{prefix} cannot be read now ({error}); try again later") from error
        if stored is None or stored.content == MARK:
            raise ReleaseError(f"{prefix} has no readable manifest ({bucket} does not contain it)")
        copy = self.places.cache.copy_of(place, stored.content, lambda name: bucket.chunks(f"{prefix}/{name}"))
        release = parse_manifest(self.kind, self.scope, release_id, stored.content, place, copy)
        if not all(map(_is_inside, release.files)):
            raise ReleaseError(
                f"the manifest of {prefix} names a file outside of its folder; delete the release {release_id}"
            )
        return release

    def has(self, release_id: str) -> bool:
        return release_id in self.release_ids()

    def release_ids(self) -> list[str]:
        try:
            return self._uploads.published()
        except OSError as error:
            raise UnreadError(f"{self} cannot be listed now ({error}); try again later") from error

    def pointer(self) -> str | None:
        return self._state.pointer

    def promoted(self) -> list[str]:
        return list(self._state.served)

    def held(self) -> Hold | None:
        return self._state.hold

    def record(self) -> ScopeRecord:
        state = self._state
        return ScopeRecord(state.pointer, state.served, state.hold, state.number)

    def write_record(self, record: ScopeRecord) -> None:
        """Replace the scope's pointer, history, hold and number by the ones in `record`.

        Raises `ReleaseError` in the same cases as `promote`.
        """

        def recorded(state: ScopeState) -> ScopeState:
            state = replace(state, hold=record.hold, number=max(state.number, record.number))
            if record.pointer is None:
                return state
            if record.pointer:
                self._require_servable(record.pointer, state)
            return replace(state, pointer=record.pointer, served=record.promoted[-HISTORY_LENGTH:])

        self._change(recorded)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Turn `OSError` in the `with` block into `ReleaseError`."""
        try:
            yield
        except OSError as error:
            raise ReleaseError(
                f"{self} cannot be written ({error.strerror or error}); the served release stays. Try again, and check "
                "THUMBLAB_RELEASE_STORE and the disk of the cache if the error stays"
            ) from error

    @contextmanager
    def changing(self, patience: float) -> Iterator[None]:
        with ExitStack() as stack:
            with self.writing():
                stack.enter_context(self.places.locks.held(self.folder, patience))
            yield

    def next_number(self, above: int = 0) -> int:
        # The state has no counter in two cases: the scope is new, or a person has deleted its damaged state. In the
        # second case, the counter must continue above the numbers of the releases.
        if not self._state.number:
            above = max([above, *(release.number for release in readable_releases(self))])
        state = self.places.states.change(
            self.folder, lambda state: replace(state, number=1 + max(state.number, above))
        )
        return state.number

    def staging(self) -> AbstractContextManager[Path]:
        return self.places.cache.staging(self.kind, self.scope)

    def publish(self, staging: Path, release_id: str, sharing: Release | None = None) -> None:
        release = read_release(self.kind, self.scope, release_id, staging)
        self._uploads.upload(staging, release_id, release.files, sharing)
        place = self.places.cache.place(self.kind, self.scope, release_id)
        self.places.cache.keep(staging, place, release.files)

    def promote(self, release: Release) -> None:
        def promoted(state: ScopeState) -> ScopeState:
            self._require_servable(release.release_id, state)
            return state.promoted(release.release_id)

        self._change(promoted)

    def _require_servable(self, release_id: str, state: ScopeState) -> None:
        """Raise `ReleaseError` if a release is being deleted, or is not whole. Call this inside a change of `state`.

        Another process may delete the release at the same time. Such a process changes the state before it deletes
        files. The state was read before this check, and is replaced only if it has not changed since then. So a served
        release has all its files.
        """
        if release_id in state.deleting:
            raise ReleaseError(f"{self.folder}/{release_id} is being deleted; promote another release")
        self._uploads.require_whole(self.get(release_id))

    def move_pointer(self, release_id: str) -> None:
        self._change(lambda state: replace(state, pointer=release_id))

    def hold(self, hold: Hold) -> None:
        self._change(lambda state: replace(state, hold=hold))

    def resume(self) -> None:
        self._change(lambda state: replace(state, hold=None))

    def delete(self, release_ids: Sequence[str]) -> list[str]:
        """Delete releases, except the served release. Return the ids of the deleted releases."""
        if not release_ids:
            return []
        # From this change on, nobody can promote the releases. If the process is killed, `sweep` deletes them.
        state = self.places.states.change(
            self.folder,
            lambda state: replace(
                state, deleting=tuple(dict.fromkeys((*state.deleting, *(set(release_ids) - {state.pointer}))))
            ),
        )
        deleted = [release_id for release_id in release_ids if release_id in state.deleting]
        self._delete(deleted)
        return deleted

    def sweep(self) -> None:
        """Delete the incomplete releases that crashed processes left in the store and in the cache."""
        self._delete(self.places.states.read(self.folder).deleting)
        self._uploads.sweep()
        self.places.cache.sweep(self.kind, self.scope)

    def _delete(self, release_ids: Sequence[str]) -> None:
        if not release_ids:
            return
        for release_id in release_ids:
            self._uploads.delete(release_id)
            self.places.cache.forget(self.places.cache.place(self.kind, self.scope, release_id))
        gone = set(release_ids)
        self.places.states.change(
            self.folder, lambda state: replace(state, deleting=tuple(id for id in state.deleting if id not in gone))
        )

    def _change(self, transition: Callable[[ScopeState], ScopeState]) -> None:
        def allowed(state: ScopeState) -> ScopeState:
            self.places.locks.require(self.folder, state)
            return transition(state)

        self.places.states.change(self.folder, allowed)

    @property
    def _state(self) -> ScopeState:
        return self.places.states.read(self.folder)

    @property
    def _uploads(self) -> Uploads:
        return Uploads(self.places.bucket, self.folder)

    def __str__(self) -> str:
        return f"{self.folder} in {self.places}"


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and path.as_posix() == name
