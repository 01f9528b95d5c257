"""Read and change the states of the scopes in an object store.

Some processes, such as the service, read a state again and again. They keep the last answer for a moment. After that,
they send the store the tag of the state that they know. If the state has not changed, the store does not send it again.
"""

import random
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as LateError
from contextlib import suppress
from dataclasses import dataclass, replace

from thumblab_core.object_store.bucket import Bucket, Stored, StoreError
from thumblab_core.releases.release import BusyError
from thumblab_core.releases.scope_state import STATE, ScopeState, parse_state

_WAIT_S = 0.25
"""Seconds that a reader waits for a newer state if an older state is known. So a slow store does not delay requests for
long.
"""
_RETRY_S = 2.0
"""After a failed read, the state is not read again for this number of seconds. In this time, readers get the error
immediately."""
_CHANGE_S = 30.0
"""Seconds in which a change must succeed. A change is tried again only if another process has changed the state at the
same time.
"""
_READERS = 8


@dataclass
class _Known:
    """What is known about the state of one scope.

    `stored`: the state as it was last read. `at`: the time of the last read, even if it failed. `error`: the error if
    the last read failed. `reading`: a read in progress.
    """

    stored: Stored | None = None
    at: float | None = None
    error: StoreError | None = None
    reading: "Future[None] | None" = None


class KnownStates:
    """The states of the scopes in a bucket. Many threads may use this object at the same time.

    `fresh_s`: seconds for which a state that was read is used again. With 0, every read asks the store.
    """

    def __init__(self, bucket: Bucket, fresh_s: float) -> None:
        self._bucket = bucket
        self._fresh_s = fresh_s
        self._known: dict[str, _Known] = {}
        self._lock = threading.Lock()
        self._readers = ThreadPoolExecutor(_READERS, "read-state")

    def read(self, folder: str) -> ScopeState:
        """Return the state of the scope in `folder`. A scope without a state has the default state.

        Raises `StoreError` if the last attempt to read the state failed, and `DamagedStateError` if the state is
        damaged.
        """
        if self._fresh_s == 0:
            return self._parsed(folder, self._fetch(folder))
        with self._lock:
            known = self._known.setdefault(folder, _Known())
            age = float("inf") if known.at is None else time.monotonic() - known.at
            due = age >= (self._fresh_s if known.error is None else _RETRY_S)
            if due and known.reading is None:
                known.reading = self._readers.submit(self._refresh, folder, known)
            reading = known.reading
        if due and reading is not None:
            with suppress(LateError):
                # If no state is known yet, the reader waits until the state is read. Otherwise, the reader waits only
                # `_WAIT_S`.
                reading.result(None if known.at is None else _WAIT_S)
        if known.error is not None:
            raise StoreError(str(known.error))  # `known.error` has the traceback of an earlier read.
        return self._parsed(folder, known.stored)

    def change(self, folder: str, transition: Callable[[ScopeState], ScopeState]) -> ScopeState:
        """Call `transition` with the present state, and store its result as the new state. Return the new state.

        If another process changes the state at the same time, `transition` is called again with the newer state. An
        error of `transition` is raised, and nothing is changed.
        """
        self._bucket.require_conditional_writes()
        key, deadline = f"{folder}/{STATE}", time.monotonic() + _CHANGE_S
        while True:
            stored = self._fetch(folder)
            state = replace(transition(self._parsed(folder, stored)), write=secrets.token_hex(8))
            content = state.dump()
            try:
                written = (
                    self._bucket.create(key, content) if stored is None else self._bucket.replace(key, content, stored)
                )
            except StoreError:
                # Maybe the store has written the state, and only its answer was lost.
                if not self._is_written(folder, state):
                    raise
                return state
            if written is not None:
                self._remember(folder, written)
                return state
            if self._is_written(folder, state):
                return state
            if time.monotonic() > deadline:
                raise BusyError(f"other processes keep changing {folder} in {self._bucket}; try again later")
            time.sleep(random.uniform(0.01, 0.1))

    def _is_written(self, folder: str, state: ScopeState) -> bool:
        return self._parsed(folder, self._fetch(folder)).write == state.write

    def _fetch(self, folder: str) -> Stored | None:
        known = self._known.get(folder)
        stored = self._bucket.read(f"{folder}/{STATE}", None if known is None else known.stored)
        self._remember(folder, stored)
        return stored

    def _remember(self, folder: str, stored: Stored | None) -> None:
        with self._lock:
            known = self._known.setdefault(folder, _Known())
            known.stored, known.at, known.error = stored, time.monotonic(), None

    def _refresh(self, folder: str, known: _Known) -> None:
        try:
            self._fetch(folder)
        except StoreError as error:
            with self._lock:
                known.error, known.at = error, time.monotonic()
        finally:
            with self._lock:
                known.reading = None

    def _parsed(self, folder: str, stored: Stored | None) -> ScopeState:
        return ScopeState() if stored is None else parse_state(stored.content, f"{folder}/{STATE} in {self._bucket}")
