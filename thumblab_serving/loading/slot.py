"""One thing that is served: it follows the pointer of its release scope, and refuses what it must not serve."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from thumblab_core.encoders.protocol import ImageEncoder
from thumblab_core.errors import LabError
from thumblab_core.releases.release import Release
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_serving.loading.faults import Backoff, said

T = TypeVar("T")

_log = logging.getLogger("thumblab_serving")


@dataclass(frozen=True)
class Loaded(Generic[T]):
    """A release in memory with the encoder that it is asked with, which stays as long as somebody holds this.

    A request keeps the one it resolved, whatever is swapped in meanwhile.
    """

    release_id: str
    value: T
    encoder: ImageEncoder


@dataclass(frozen=True)
class Refusal:
    """A promoted release that is not served, and why. `release_id` is None when the pointer itself cannot be read."""

    release_id: str | None
    reason: str


class Slot(Generic[T]):
    """What is served of one release scope. `load` verifies and reads a release; whatever it raises refuses the release.

    The release that served before serves on. A refused one is tried again when the pointer has moved, and by `Backoff`: soon
    where the system refused to read it, rarely where it is damaged.
    """

    def __init__(self, store: ReleaseStore, kind: str, scope: str, load: Callable[[Release], Loaded[T]]) -> None:
        self.kind = kind
        self.scope = scope
        self._store = store
        self._load = load
        self._lock = threading.Lock()
        self._loaded: Loaded[T] | None = None
        self._refusal: Refusal | None = None
        self._backoff = Backoff()

    @property
    def loaded(self) -> Loaded[T] | None:
        """What serves now, without a look at the pointer."""
        return self._loaded

    @property
    def refusal(self) -> Refusal | None:
        return self._refusal

    @property
    def retry_seconds(self) -> float:
        """Until a refused release is tried again by whoever asks."""
        return self._backoff.seconds

    @property
    def vacant(self) -> bool:
        """Nothing is served and nothing is promoted."""
        return self._loaded is None and self._pointer() is None

    @property
    def loading(self) -> bool:
        return self._lock.locked()

    def current(self) -> Loaded[T] | None:
        """What the pointer names, loaded now if it moved: a caller who promoted gets the new release, never the old.

        Callers that find the pointer moved wait for one load; of those that find a refused release due again, one tries it
        and the others go on. Blocking; for worker threads.
        """
        wanted = self._pointer()
        if not self._known(wanted):
            with self._lock:
                self._follow()
        elif not self._settled(wanted):
            self.look()
        return self._loaded

    def look(self) -> None:
        """Follow the pointer, unless somebody else is loading: for those who must not wait for a load under way."""
        if not self._settled(self._pointer()) and self._lock.acquire(blocking=False):
            try:
                self._follow()
            finally:
                self._lock.release()

    def _pointer(self) -> str | Refusal | None:
        try:
            wanted = self._store.serving.current_id(self.kind, self.scope)
            withdrawn = wanted is None and self._store.serving.withdrawn(self.kind, self.scope)
        except (OSError, ValueError) as error:
            return Refusal(None, f"the pointer of {self.kind}/{self.scope} cannot be read ({error})")
        if wanted is None and self._loaded is not None and not withdrawn:
            return Refusal(None, f"the pointer of {self.kind}/{self.scope} is gone; promote a release again")
        return wanted

    def _settled(self, wanted: str | Refusal | None) -> bool:
        """Whether there is nothing to do."""
        refused = self._refusal is not None and self._refusal.release_id is not None
        return self._known(wanted) and not (refused and self._backoff.due)

    def _known(self, wanted: str | Refusal | None) -> bool:
        """Whether the pointer is where it was when it was followed."""
        if isinstance(wanted, Refusal):
            return wanted == self._refusal
        if self._refusal is not None:
            return wanted is not None and wanted == self._refusal.release_id
        return wanted == (self._loaded.release_id if self._loaded else None)

    def _follow(self) -> None:
        # Read again under the lock: the pointer may have moved on while another thread was loading.
        wanted = self._pointer()
        if self._settled(wanted):
            return
        if isinstance(wanted, Refusal):
            self._refuse(wanted)
        elif wanted is None:  # withdrawn: what it holds is to be forgotten
            self._loaded, self._refusal = None, None
        elif self._loaded is not None and self._loaded.release_id == wanted:
            self._refusal = None
        else:
            self._swap(wanted)

    def _swap(self, release_id: str) -> None:
        try:
            loaded = self._load(self._store.get(self.kind, self.scope, release_id))
        except Exception as error:  # noqa: BLE001  a malformed release may raise anything; the old one must serve on
            if self._refusal is None or self._refusal.release_id != release_id:
                self._backoff.reset()
            self._backoff.failed(error)
            why = str(error) if isinstance(error, LabError) else f"it cannot be loaded ({said(error)})"
            self._refuse(Refusal(release_id, why))
        else:
            self._loaded, self._refusal = loaded, None
            _log.info("serving %s/%s/%s", self.kind, self.scope, release_id)

    def _refuse(self, refusal: Refusal) -> None:
        again, self._refusal = refusal == self._refusal, refusal
        level = logging.DEBUG if again else logging.ERROR
        _log.log(level, "refused %s/%s/%s: %s", self.kind, self.scope, refusal.release_id, refusal.reason)
