"""Find the rights of the API key in a request. Changes of the key files take effect without a restart."""

import hmac
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from thumblab_core.errors import LabError
from thumblab_core.keys.generated_key import kept_key, key_path
from thumblab_core.keys.named_keys import OWN_KEY, SCOPES, NamedKeys, Scope, digest
from thumblab_core.settings import Settings

_SETTLED_NS = 1_000_000_000
"""Minimum age of a key file, in nanoseconds, at which its modification time shows whether it was written again.

Some file systems round the modification time. So a younger file is read again at every call.
"""

_log = logging.getLogger("thumblab_serving")


@dataclass(frozen=True)
class Grant:
    """The rights that a key gives. `requests_per_minute` is None if there is no limit.

    `owner` is stored with everything that belongs to the key, such as its batches. `owner` stays the same when the key
    is rotated.
    """

    name: str
    owner: str
    sha256: bytes
    scopes: tuple[Scope, ...]
    requests_per_minute: int | None

    @property
    def acts_for(self) -> str | None:
        """The owner whose channels the key may change (see `thumblab_core.database.channels.Channel.belongs_to`).

        None stands for the lab: a key with the scope `admin` may change all channels.
        """
        return None if "admin" in self.scopes else self.owner


class KeyRing:
    """All keys that the service accepts: the lab's own key and the named keys. Threads may share a key ring.

    Only SHA-256 digests of the keys are kept. If a key file cannot be read, the keys that were last read from it
    stay valid, and `failure` says why the file cannot be read.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._named_keys = NamedKeys(settings)
        self._files = [_FollowedFile(self._named_keys.path, self._read_named)]
        self._set: tuple[Grant, ...] = ()
        if settings.api_key is None:
            self._files.append(_FollowedFile(key_path(settings), self._read_own))
        else:
            self._set = self._read_own()

    def find(self, key: str) -> Grant | None:
        """Return the rights that `key` gives, or None if the key is not known.

        The key is compared with every known key, each time in constant time. So the response time reveals nothing about
        the known keys.
        """
        given, found = digest(key), None
        for grant in self._grants():
            if hmac.compare_digest(grant.sha256, given):
                found = grant
        return found

    def is_revoked(self, owner: str) -> bool:
        """Return whether the key with this `owner` is revoked.

        While a key file cannot be read, the service cannot know which keys were revoked, so the result is False.
        """
        if owner == OWN_KEY or self.failure() is not None:
            return False
        return all(grant.owner != owner for grant in self._grants())

    def acts_for(self, owner: str) -> str | None:
        """Return the owner whose channels the key of `owner` may change, or None if the key may change all channels.

        If `owner` has no key, return `owner`.
        """
        return next((grant.acts_for for grant in self._grants() if grant.owner == owner), owner)

    def failure(self) -> str | None:
        """Return a sentence about the key file that cannot be read now. Return None if all files can be read.

        The sentence does not say where the file is, because `/health` shows it to everybody.
        """
        for file in self._files:
            file.grants()
            if file.failure is not None:
                return f"the file {file.name} cannot be read or is damaged; the log of the service says more"
        return None

    def _grants(self) -> tuple[Grant, ...]:
        return (*self._set, *(grant for file in self._files for grant in file.grants()))

    def _read_own(self) -> tuple[Grant, ...]:
        key = kept_key(self._settings)
        return (
            () if key is None else (Grant(OWN_KEY, OWN_KEY, digest(key), SCOPES, self._settings.requests_per_minute),)
        )

    def _read_named(self) -> tuple[Grant, ...]:
        usual = self._settings.requests_per_minute
        return tuple(
            Grant(key.name, key.owner, bytes.fromhex(key.sha256), key.scopes, key.requests_per_minute or usual)
            for key in self._named_keys.all()
        )


class _FollowedFile:
    """The grants of a file that other processes may replace. The file is read again when it has changed."""

    def __init__(self, path: Path, read: Callable[[], tuple[Grant, ...]]) -> None:
        self.failure: str | None = None
        self.name = path.name
        self._path = path
        self._read = read
        self._grants: tuple[Grant, ...] = ()
        self._seen: tuple[int, ...] | None = None
        self._lock = threading.Lock()

    def grants(self) -> tuple[Grant, ...]:
        """Return the grants of the file as it is now. If the file cannot be read, return the grants of the last
        successful reading.
        """
        # Call `_state` before the file is read. If the file changes between these two steps, the next call reads the
        # file again.
        state = self._state()
        if state is None or state != self._seen:
            with self._lock:
                self._seen = state if self._reread() else None
        return self._grants

    def _reread(self) -> bool:
        try:
            self._grants, self.failure = self._read(), None
        except LabError as error:
            if str(error) != self.failure:  # Log each failure once, and not at every request.
                _log.error("%s; the keys that were read last stay valid", error)
            self.failure = str(error)
        return self.failure is None

    def _state(self) -> tuple[int, ...] | None:
        """Return numbers that change whenever the file changes. Return `()` if there is no file, and None if the file
        must be read again in any case.
        """
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return ()
        except OSError:
            return None
        if time.time_ns() - found.st_mtime_ns < _SETTLED_NS:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size
