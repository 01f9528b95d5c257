"""Decide which release of a scope is served. Keep the pointer, the history of promotions, and the hold of a person.

A published release is not served until `Serving.promote` moves the pointer to this release. The move is atomic. A
reader reads the pointer once, and then reads and verifies the files of the release that the pointer named.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime

from thumblab_core.releases.release import Release
from thumblab_core.releases.scope import Hold, Scope, readable_releases


class Serving:
    """The pointers, histories and holds of all scopes of a release store. Readers never wait.

    Writers of one scope wait for each other. `scope_of` returns the scope for a kind of release and a name.
    """

    def __init__(self, scope_of: Callable[[str, str], Scope]) -> None:
        self._scope = scope_of

    def current_id(self, kind: str, scope: str) -> str | None:
        """Return the id of the served release, or None if nothing is served. This method reads only one small file."""
        return self._scope(kind, scope).pointer() or None

    def current(self, kind: str, scope: str) -> Release | None:
        """Return the served release, or None if nothing is served.

        Raises `ReleaseError` if its manifest is unreadable.
        """
        release_id = self.current_id(kind, scope)
        return None if release_id is None else self._scope(kind, scope).get(release_id)

    def has_pointer(self, kind: str, scope: str) -> bool:
        """Return whether a release was ever promoted. The result is True for a pointer that cannot be read."""
        try:
            return self._scope(kind, scope).pointer() is not None
        except (OSError, ValueError):
            return True

    def withdrawn(self, kind: str, scope: str) -> bool:
        """Return whether `withdraw` has emptied the pointer, so that the scope serves nothing.

        The result is False if no release was promoted yet.
        """
        return self._scope(kind, scope).pointer() == ""

    def promote(self, release: Release, known: Mapping[str, str] | None = None) -> None:
        """Verify a release and serve it. Files in `known` are not read again, see `Release.verify`."""
        place = self._scope(release.kind, release.scope)
        with place.writing():
            # The release is verified inside the lock. Otherwise `prune` could delete it before it is served.
            place.get(release.release_id).verify(known)
            place.promote(release)

    def withdraw(self, kind: str, scope: str) -> None:
        """Serve no release of the scope any more. The releases themselves stay until they are removed."""
        place = self._scope(kind, scope)
        with place.writing():
            place.move_pointer("")

    def promoted(self, kind: str, scope: str) -> list[str]:
        """Return the ids of the promoted releases in the order of promotion. Deleted releases are included."""
        return self._scope(kind, scope).promoted()

    def served_before(self, kind: str, scope: str) -> list[Release]:
        """Return the releases that were promoted, still exist and are older than the served release, oldest first.

        A release that replaces another one (`Release.place_in_history`) has the place of the other one, before it.
        """
        served, releases = self.current_id(kind, scope), readable_releases(self._scope(kind, scope))
        promoted = self.promoted(kind, scope)
        place = next((release.place_in_history for release in releases if release.release_id == served), None)
        if place is None:  # The served release is gone or unreadable, so the history of promotions gives the order.
            promoted = promoted[: promoted.index(served)] if served in promoted else []
        older = [r for r in releases if r.release_id in promoted and (place is None or r.place_in_history < place)]
        return sorted(older, key=lambda r: (r.place_in_history, r.place_in_history == r.order))

    def hold(self, release: Release, reason: str) -> None:
        """Record that no release newer than `release` may be served until `resume` is called.

        `promote` does not check this hold. Code that promotes releases must call `held` first.
        """
        place = self._scope(release.kind, release.scope)
        with place.writing():
            # After a second rollback, `displaced` is still the release that was served before the first rollback.
            earlier = self.held(release.kind, release.scope)
            displaced = self.current_id(release.kind, release.scope) if earlier is None else earlier.displaced
            place.hold(Hold(datetime.now(UTC).isoformat(timespec="minutes"), reason, displaced))

    def held(self, kind: str, scope: str) -> Hold | None:
        """Return the hold of the scope's pointer, or None if no person holds the pointer."""
        return self._scope(kind, scope).held()

    def resume(self, kind: str, scope: str) -> None:
        """Remove the hold, so that newer releases can be served again."""
        place = self._scope(kind, scope)
        with place.writing():
            place.resume()

    def changing(self, kind: str, scope: str, patience: float = 60.0) -> AbstractContextManager[None]:
        """Lock the scope inside the `with` block, to make a new release from the served release and promote the new
        release.

        Raises `BusyError` if another process holds this lock for more than `patience` seconds. Readers never wait.
        """
        return self._scope(kind, scope).changing(patience)
