"""The served release of one scope.

A `ServedRelease` loads the release that the pointer of the scope names, and refuses a release that fails to load.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from thumblab_core.encoders.protocol import ImageEncoder
from thumblab_core.errors import LabError
from thumblab_core.releases.release import Release
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_serving.loading.faults import Backoff, message

T = TypeVar("T")

PATIENCE_S = 5.0
"""Maximum number of seconds that a request waits for a newly promoted release if an older release is in memory.

A release usually loads in less than a second. If it names an encoder that is not in memory yet, loading may take
minutes. The requests that come during this time are answered with the older release.
"""

_log = logging.getLogger("thumblab_serving")


@dataclass(frozen=True, eq=False)
class Loaded(Generic[T]):
    """A release in memory, with the image encoder that made its vectors. The encoder stays in memory with this object.

    A request uses the same object from its beginning to its end, even if another release is loaded in the meantime. No
    two objects are equal, so that `OwnedCaches` has a separate cache for each object.
    """

    release_id: str
    value: T
    encoder: ImageEncoder


@dataclass(frozen=True)
class Refusal:
    """A promoted release that is not served, and the reason. `release_id` is None if the pointer cannot be read."""

    release_id: str | None
    reason: str


class ServedRelease(Generic[T]):
    """The served release of one scope.

    The function `load` verifies and reads a release. If `load` raises any exception, the release is refused. Meanwhile,
    the previous release stays served. `Backoff` decides when the refused release is tried again. If the error may be
    temporary, the wait is at most one minute, and otherwise at most ten minutes. If the pointer moves, the new release
    is tried immediately.

    Releases are loaded in their own thread, one at a time.
    """

    def __init__(self, store: ReleaseStore, kind: str, scope: str, load: Callable[[Release], Loaded[T]]) -> None:
        self.kind = kind
        self.scope = scope
        self._store = store
        self._load = load
        self._lock = threading.Lock()
        self._starting = threading.Lock()
        self._follower: threading.Thread | None = None
        self._loaded: Loaded[T] | None = None
        self._forgotten: Loaded[T] | None = None
        self._refusal: Refusal | None = None
        self._backoff = Backoff()

    @property
    def loaded(self) -> Loaded[T] | None:
        """The release that was loaded last. The pointer is not read, so a newer release may have been promoted."""
        return self._loaded

    @property
    def refusal(self) -> Refusal | None:
        """The promoted release that is refused, or None if no promoted release is refused."""
        return self._refusal

    @property
    def retry_seconds(self) -> float:
        """Seconds until a request may try to load a refused release again."""
        return self._backoff.seconds

    @property
    def is_empty(self) -> bool:
        """Whether the scope has neither a loaded nor a promoted release, so that nothing can be served."""
        return self._loaded is None and self._pointer() is None

    @property
    def can_serve(self) -> bool:
        """Whether a request can get a release: it is in memory, or the next request reads it from the disk again."""
        return self._loaded is not None or self._forgotten is not None

    @property
    def loading(self) -> bool:
        """Whether a thread is loading a release."""
        return self._lock.locked()

    def current(self) -> Loaded[T] | None:
        """Return the served release, or None. If the pointer has moved, first load the release that it names now.

        This call may block, so call this method in a worker thread. A caller who has just promoted a release gets that
        release, unless it is refused. If loading takes longer than `PATIENCE_S`, callers get the release that was
        served before, if there is one. When it is time to try a refused release again, one caller waits for this try,
        and the other callers get the served release.
        """
        target = self._pointer()
        if not self._is_handled(target):
            self._follow(None if self._loaded is None else PATIENCE_S)
        elif not self._is_settled(target):
            follower, is_new = self._start_following()
            if is_new:
                follower.join(PATIENCE_S)
        if target is None:  # A withdrawn release is never served from memory.
            return None
        return self._loaded or self._forgotten  # `_loaded` is None if another thread has just forgotten the release.

    def follow_pointer(self, patience: float) -> None:
        """Load the release that the pointer names, unless it is loaded already. Wait at most `patience` seconds.

        If loading takes longer, the loading continues in the background.
        """
        if not self._is_settled(self._pointer()):
            follower, _ = self._start_following()
            follower.join(patience)

    def watch_pointer(self) -> None:
        """Begin to load the release that the pointer names, if the pointer has moved. If the release was refused and
        it is time for another try, begin to load it again.

        This call does not wait for the release. After `forget`, only a request reads the release again.
        """
        target = self._pointer()
        is_forgotten = self._forgotten is not None and self._forgotten.release_id == target
        if not is_forgotten and not self._is_settled(target):
            self._start_following()

    def forget(self) -> bool:
        """Forget the loaded release, so that the next request reads it from the disk again.

        If the release cannot be read again, the forgotten release stays served. Return whether a release was loaded.
        This call blocks while another thread loads a release.
        """
        with self._lock:
            loaded = self._loaded
            # `_forgotten` is set before `_loaded` is cleared, so that a thread without the lock never finds both None.
            self._forgotten = loaded or self._forgotten
            self._loaded, self._refusal = None, None
            self._backoff.reset()
        return loaded is not None

    def _pointer(self) -> str | Refusal | None:
        """Return the id of the promoted release. Return None if nothing is promoted, or a `Refusal` if the pointer
        cannot be read.
        """
        try:
            release_id = self._store.serving.current_id(self.kind, self.scope)
            withdrawn = release_id is None and self._store.serving.withdrawn(self.kind, self.scope)
        except (OSError, ValueError) as error:
            return Refusal(None, f"the pointer of {self.kind}/{self.scope} cannot be read ({error})")
        if release_id is None and (self._loaded or self._forgotten) is not None and not withdrawn:
            return Refusal(None, f"the pointer of {self.kind}/{self.scope} is gone; promote a release again")
        return release_id

    def _is_settled(self, target: str | Refusal | None) -> bool:
        """Return whether there is nothing to do. This is the case if `target` is served, or if `target` is refused and
        it is too early for another try.
        """
        refusal = self._refusal
        is_refused = refusal is not None and refusal.release_id is not None
        return self._is_handled(target) and not (is_refused and self._backoff.due)

    def _is_handled(self, target: str | Refusal | None) -> bool:
        """Return whether `target` was already loaded or refused.

        The result is False if the pointer has moved to another release, or if the loaded release was forgotten.
        """
        if self._forgotten is not None:
            return False
        if isinstance(target, Refusal):
            return target == self._refusal
        # Each attribute is read only once, because another thread may change it between two reads.
        refusal, loaded = self._refusal, self._loaded
        if refusal is not None:
            return target is not None and target == refusal.release_id
        return target == (None if loaded is None else loaded.release_id)

    def _follow(self, patience: float | None) -> None:
        """Load the release that the pointer names. Wait until the release is loaded, but at most `patience` seconds.

        If the pointer moves during this time, the newly named release is loaded too.
        """
        deadline = None if patience is None else time.monotonic() + patience
        while True:
            follower, _ = self._start_following()
            follower.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
            if follower.is_alive() or self._is_handled(self._pointer()):
                return

    def _start_following(self) -> tuple[threading.Thread, bool]:
        """Return the thread that loads the promoted release, and whether this call has started the thread."""
        with self._starting:
            if self._follower is not None and self._follower.is_alive():
                return self._follower, False
            name = f"load-{self.kind}-{self.scope}"
            self._follower = threading.Thread(target=self._follow_pointer, name=name, daemon=True)
            self._follower.start()
            return self._follower, True

    def _follow_pointer(self) -> None:
        with self._lock:
            target = self._pointer()
            if not self._is_settled(target):
                self._move_to(target)

    def _move_to(self, target: str | Refusal | None) -> None:
        if isinstance(target, Refusal):
            self._refuse(target)
        elif target is None:  # The scope was withdrawn, because data must be deleted. So forget the release.
            self._loaded, self._forgotten, self._refusal = None, None, None
        elif self._loaded is not None and self._loaded.release_id == target:
            self._refusal = None
        else:
            self._swap(target)

    def _swap(self, release_id: str) -> None:
        try:
            loaded = self._load(self._store.get(self.kind, self.scope, release_id))
        except Exception as error:  # noqa: BLE001  a malformed release may raise anything; the old one must stay served
            if self._refusal is None or self._refusal.release_id != release_id:
                self._backoff.reset()
            self._backoff.failed(error)
            reason = str(error) if isinstance(error, LabError) else f"it cannot be loaded ({message(error)})"
            self._refuse(Refusal(release_id, reason))
        else:
            self._loaded, self._forgotten, self._refusal = loaded, None, None
            _log.info("serving %s/%s/%s", self.kind, self.scope, release_id)

    def _refuse(self, refusal: Refusal) -> None:
        # The release was forgotten only so that it is read again. If the reading fails, serving the forgotten release
        # is better than serving nothing.
        self._loaded, self._forgotten = self._loaded or self._forgotten, None
        repeated, self._refusal = refusal == self._refusal, refusal
        level = logging.DEBUG if repeated else logging.ERROR
        _log.log(level, "refused %s/%s/%s: %s", self.kind, self.scope, refusal.release_id, refusal.reason)
