"""Change which release a scope serves: roll back to an older release, end such a rollback, or replace releases that
contain deleted data.
"""

from collections.abc import Callable, Sequence

from thumblab_core.releases.release import Release, ReleaseError
from thumblab_core.releases.release_store import ReleaseStore


class NoOlderReleaseError(ReleaseError):
    """Raised if a scope serves no release, or if it has no older release that it could serve."""


def serve_older(
    store: ReleaseStore,
    kind: str,
    scope: str,
    release_id: str | None,
    verify: Callable[[Release], object],
    without_removed: Callable[[Release], Release] = lambda release: release,
) -> Release:
    """Serve an older release and hold it, so that no new release replaces it. Return the release that is served now.

    Without `release_id`, serve the newest release that was served before and is older than the served release. `verify`
    gets the older release, and raises an error if this release is damaged. `without_removed` gets the older release and
    returns the release to serve: the older release, or if it contains removed videos, a new release without them.
    Raises `NoOlderReleaseError` if there is no older release.
    """
    with store.serving.changing(kind, scope):
        served = store.serving.current_id(kind, scope)
        if served is None:
            raise NoOlderReleaseError(f"{scope} serves no {kind}, so it cannot be rolled back")
        if release_id is None:
            older = store.serving.served_before(kind, scope)
            if not older:
                raise NoOlderReleaseError(f"{scope} has no older release that was served before {served}")
            release = older[-1]
        else:
            try:
                release = store.get(kind, scope, release_id)
            except ReleaseError as error:
                if error.transient:
                    raise
                raise NoOlderReleaseError(str(error)) from None
        verify(release)
        release = without_removed(release)
        # The hold is written before the pointer moves. If the process is killed between the two steps, the scope still
        # serves the previous release, and the next build reports the hold.
        store.serving.hold(release, f"rolled back from {served} to {release.release_id}")
        store.serving.promote(release)
    return release


def end_hold(
    store: ReleaseStore, kind: str, scope: str, if_gone: Callable[[str], None] = lambda release_id: None
) -> None:
    """End the hold of a scope, and serve the release that the rollback displaced.

    If that release is damaged or was deleted, call `if_gone` with its id.
    """
    with store.serving.changing(kind, scope):
        held = store.serving.held(kind, scope)
        if held is not None and held.displaced is not None:
            try:
                store.serving.promote(store.get(kind, scope, held.displaced))
            except ReleaseError as error:
                if error.transient:
                    raise
                if_gone(held.displaced)
        store.serving.resume(kind, scope)


def replace_stale(
    store: ReleaseStore, stale: Sequence[Release], served: str | None, trimmed: Callable[[Release], Release | None]
) -> None:
    """Delete the `stale` releases. If the release with the id `served` is one of them, serve another release instead.

    `trimmed` returns the release to serve instead, or None to serve nothing. The caller must hold
    `store.serving.changing`.
    """
    for release in stale:
        if release.release_id == served:
            left = trimmed(release)
            if left is None:
                store.serving.withdraw(release.kind, release.scope)
            else:
                store.serving.promote(left)
    for release in stale:
        store.remove(release)
