"""The lock of `Serving.changing` for scopes in an object store.

The lock is a part of the scope's state. The process that has the lock, its owner, increases a counter in the state
every few seconds. Each increase is a beat. If the counter does not change for `SILENT_SECONDS`, a waiting process takes
the lock over. The waiting process measures this time by its own clock, so clocks of two hosts are never compared.

A process that was paused may lose the lock without knowing this. The process can then do no harm, because the pointer
is in the same object as the lock. When the process tries to move the pointer, it reads this object, finds another
owner, and gets an error.
"""

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from thumblab_core.errors import LabError
from thumblab_core.heartbeat import SILENT_SECONDS
from thumblab_core.object_store.bucket import StoreError
from thumblab_core.releases.known_states import KnownStates
from thumblab_core.releases.release import BusyError
from thumblab_core.releases.scope_state import Change, ScopeState

BEAT_SECONDS = 5.0
"""Seconds between two beats. Each beat is a write to the store, so beats are rare. A lock is taken over only after
several missing beats (`SILENT_SECONDS`).
"""
_LOOK_SECONDS = 0.25


class ChangingLocks:
    """The locks of scopes in a bucket. `_owned` has the locks that this process holds now."""

    def __init__(self, states: KnownStates, silent_s: float = SILENT_SECONDS) -> None:
        self._states = states
        self._silent_s = silent_s
        self._owned: dict[str, str] = {}

    @contextmanager
    def held(self, folder: str, patience: float) -> Iterator[None]:
        """Hold the lock of the scope in `folder` during the `with` block.

        Raises `BusyError` if another process holds the lock for more than `patience` seconds.
        """
        owner = secrets.token_hex(8)
        self._take(folder, owner, patience)
        self._owned[folder] = owner
        ended = threading.Event()
        beating = threading.Thread(target=self._beat, args=(folder, owner, ended), daemon=True, name="changing-lock")
        beating.start()
        try:
            yield
        finally:
            ended.set()
            beating.join()
            del self._owned[folder]
            # If the store cannot be reached now, the lock stays in the state without beats, and other processes take it
            # over.
            with suppress(StoreError, BusyError):
                self._states.change(folder, lambda state: _without(state, owner))

    def require(self, folder: str, state: ScopeState) -> None:
        """Raise `BusyError` if this process is inside `held`, but has lost the lock to another process."""
        owner = self._owned.get(folder)
        if owner is not None and not _owned_by(state, owner):
            raise BusyError(
                f"this process was silent for so long that another process has taken over the lock of {folder}; "
                "nothing was changed, so start again"
            )

    def _take(self, folder: str, owner: str, patience: float) -> None:
        began = seen_at = time.monotonic()
        seen: Change | None = None

        def taken(state: ScopeState) -> ScopeState:
            is_silent = state.changing == seen and time.monotonic() - seen_at > self._silent_s
            if state.changing is not None and not is_silent:
                raise _TakenError(state.changing)
            return replace(state, changing=Change(owner))

        while True:
            try:
                self._states.change(folder, taken)
            except _TakenError as other:
                if other.change != seen:
                    seen, seen_at = other.change, time.monotonic()
                if time.monotonic() - began > patience:
                    raise BusyError(
                        f"another process has been changing {folder} for {patience:.0f} s; try again later"
                    ) from None
                time.sleep(_LOOK_SECONDS)
            else:
                return

    def _beat(self, folder: str, owner: str, ended: threading.Event) -> None:
        def beaten(state: ScopeState) -> ScopeState:
            if state.changing is None or state.changing.owner != owner:
                raise _TakenError(state.changing)
            return replace(state, changing=Change(owner, state.changing.beats + 1))

        while not ended.wait(BEAT_SECONDS):
            # After an error, the next beat tries again. A lost lock is noticed by `require`.
            with suppress(StoreError, LabError, _TakenError):
                self._states.change(folder, beaten)


class _TakenError(Exception):
    """The error that is raised if another process owns the lock."""

    def __init__(self, change: Change | None) -> None:
        super().__init__()
        self.change = change


def _owned_by(state: ScopeState, owner: str) -> bool:
    return state.changing is not None and state.changing.owner == owner


def _without(state: ScopeState, owner: str) -> ScopeState:
    return replace(state, changing=None) if _owned_by(state, owner) else state
