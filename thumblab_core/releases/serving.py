"""Decide which release of a scope is served. Keep the pointer, the history of promotions, and the hold of a person.

A published release is not served until `Serving.promote` moves the pointer to this release. The move is atomic. A
reader reads the pointer once, and then reads and verifies the files of the release that the pointer named.
"""

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from thumblab_core.durable_files import sync
from thumblab_core.releases.release import Release
from thumblab_core.releases.scope_folder import ScopeFolder

_HELD, _HISTORY = "HELD", "SERVED"
_HISTORY_LENGTH = 200
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


class Serving:
    """The pointers, histories and holds of all scopes under a folder. Readers never wait.

    Writers of one scope wait for each other.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def current_id(self, kind: str, scope: str) -> str | None:
        """Return the id of the served release, or None if nothing is served. This method reads only one small file."""
        return self._folder(kind, scope).pointer() or None

    def current(self, kind: str, scope: str) -> Release | None:
        """Return the served release, or None if nothing is served.

        Raises `ReleaseError` if its manifest is unreadable.
        """
        release_id = self.current_id(kind, scope)
        return None if release_id is None else self._folder(kind, scope).get(release_id)

    def withdrawn(self, kind: str, scope: str) -> bool:
        """Return whether nothing is served because of `withdraw`.

        The result is False if no release was promoted yet.
        """
        return self._folder(kind, scope).pointer() == ""

    def promote(self, release: Release, known: Mapping[str, str] | None = None) -> None:
        """Verify a release and serve it. Files in `known` are not read again, see `Release.verify`."""
        folder = self._folder(release.kind, release.scope)
        with folder.writing():
            # The release is verified inside the lock. Otherwise `prune` could delete it before it is served.
            folder.get(release.release_id).verify(known)
            # The history is read before the pointer moves. A process that was killed may have moved the pointer without
            # writing the history. `_history` then adds the release that the pointer names.
            history = [*_history(folder), release.release_id]
            folder.move_pointer(release.release_id)
            folder.replace_file(_HISTORY, "\n".join(history[-_HISTORY_LENGTH:]))

    def withdraw(self, kind: str, scope: str) -> None:
        """Stop serving any release of the scope. The releases stay until they are removed."""
        folder = self._folder(kind, scope)
        with folder.writing():
            folder.move_pointer("")

    def promoted(self, kind: str, scope: str) -> list[str]:
        """Return the ids of the promoted releases in the order of promotion. Deleted releases are included."""
        return _history(self._folder(kind, scope))

    def served_before(self, kind: str, scope: str) -> list[Release]:
        """Return the releases that were promoted, still exist and are older than the served release, oldest first."""
        served, releases = self.current_id(kind, scope), self._folder(kind, scope).all()
        promoted = self.promoted(kind, scope)
        order = next((release.order for release in releases if release.release_id == served), None)
        if order is None:  # The served release is gone or unreadable, so the history of promotions gives the order.
            promoted = promoted[: promoted.index(served)] if served in promoted else []
        return [r for r in releases if r.release_id in promoted and (order is None or r.order < order)]

    def hold(self, release: Release, reason: str) -> None:
        """Record that no release newer than `release` may be served until `resume` is called.

        `promote` does not check this hold. Code that promotes releases must call `held` first.
        """
        folder = self._folder(release.kind, release.scope)
        with folder.writing():
            # After a second rollback, `displaced` still names the release that was served before the first rollback.
            earlier = self.held(release.kind, release.scope)
            displaced = self.current_id(release.kind, release.scope) if earlier is None else earlier.displaced
            hold = Hold(datetime.now(UTC).isoformat(timespec="minutes"), reason, displaced)
            folder.replace_file(_HELD, json.dumps(asdict(hold)))

    def held(self, kind: str, scope: str) -> Hold | None:
        """Return the hold of the scope, or None if there is none."""
        try:
            return Hold(**json.loads((self._folder(kind, scope).path / _HELD).read_text()))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError):
            return Hold("an unknown time", f"the file {_HELD} cannot be read", None)

    def resume(self, kind: str, scope: str) -> None:
        """Remove the hold, so that newer releases can be served again."""
        folder = self._folder(kind, scope)
        with folder.writing():
            (folder.path / _HELD).unlink(missing_ok=True)
            sync(folder.path)

    def changing(self, kind: str, scope: str, patience: float = 60.0) -> AbstractContextManager[None]:
        """Lock the scope inside the `with` block, to make a new release from the served release and promote the new
        release.

        Raises `BusyError` if another process holds this lock for more than `patience` seconds. Readers never wait.
        """
        return self._folder(kind, scope).changing(patience)

    def _folder(self, kind: str, scope: str) -> ScopeFolder:
        return ScopeFolder(self.root, kind, scope)


def _history(folder: ScopeFolder) -> list[str]:
    """Return the ids of the promoted releases in the order of promotion.

    `promote` moves the pointer before it writes the history file. If the process was killed between these two steps,
    the file lacks the served release. So the served release is added if it is not the last release in the file. A
    damaged pointer is ignored, so that the next promotion can replace it.
    """
    try:
        history = (folder.path / _HISTORY).read_text().split()
    except FileNotFoundError:
        history = []
    try:
        served = folder.pointer()
    except UnicodeDecodeError:
        served = None
    return [*history, served] if served and history[-1:] != [served] else history
