"""A cache in a file, which all workers of a service share.

The file is an array of slots of equal size, so its size has a limit. The digest of a key chooses a set of four slots,
and a new entry replaces the oldest entry of the set. The file is never locked. Two workers may write to a slot at the
same time, or a worker may be killed while it writes. The entry then does not match its checksum, and counts as missing.

No entry is trusted before it is checked. The header of an entry contains the digest of the key, and a checksum over the
whole entry. So a damaged entry, and an entry that was made for another key, count as missing. The file belongs to the
user of the service, and no other user can read or write it.
"""

import hashlib
import json
import os
import stat
import struct
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")

FORMAT = 1
"""Number of the format of entries. Increase this number when the bytes of an entry, or their meaning, change."""

_HEADER = struct.Struct("<32s16sdI")
"""The digest of the key, the checksum, the time of writing in Unix seconds, and the length of the value."""
_WAYS = 4
_SLOT = 8 * 1024
_SLOTS = 16_384

LARGEST = _SLOT - _HEADER.size
"""Maximum number of bytes of a value. Larger values are not shared."""


class SharedCache:
    """A cache that all workers of a service share. Threads and processes may use it at the same time.

    A shared cache never raises an error. If the file cannot be used, each entry counts as missing, and `failure` says
    why. The file takes at most `slots` times 8 KiB of the disk.
    """

    def __init__(self, path: Path, slots: int = _SLOTS) -> None:
        self._path = path
        self._sets = max(1, slots // _WAYS)
        self._file: int | None = None
        self._opening = threading.Lock()
        self.limit = self._sets * _WAYS * _SLOT
        self.failure: str | None = None

    @property
    def used(self) -> int:
        """Number of bytes that the file takes on the disk."""
        with suppress(OSError):
            return os.fstat(self._open()).st_blocks * 512
        return 0

    def close(self) -> None:
        """Close the file. The file stays on the disk for the other workers."""
        with self._opening:
            if self._file is not None:
                os.close(self._file)
                self._file = None

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a key, or None if the value is missing. `key` has 32 bytes."""
        try:
            file = self._open()
            for slot in self._slots(key):
                header = os.pread(file, _HEADER.size, slot)
                if header.startswith(key) and len(header) == _HEADER.size:
                    length = min(_HEADER.unpack(header)[3], LARGEST)
                    return _checked(header, os.pread(file, length, slot + _HEADER.size))
        except OSError as error:
            self._fail(error)
        return None

    def put(self, key: bytes, value: bytes) -> None:
        """Store the value of a key. A value of more than `LARGEST` bytes is not stored."""
        if len(value) > LARGEST:
            return
        now = time.time()
        try:
            file = self._open()
            entry = _HEADER.pack(key, _checksum(key, now, value), now, len(value)) + value
            os.pwrite(file, entry, min(self._slots(key), key=lambda slot: _order(file, slot, key, now)))
        except OSError as error:
            self._fail(error)
        else:
            self.failure = None

    def _slots(self, key: bytes) -> range:
        first = int.from_bytes(key[:8], "little") % self._sets * _WAYS * _SLOT
        return range(first, first + _WAYS * _SLOT, _SLOT)

    def _open(self) -> int:
        if self._file is None:
            with self._opening:
                if self._file is None:
                    self._file = _owned_file(self._path, self.limit)
        return self._file

    def _fail(self, error: OSError) -> None:
        self.failure = f"the cache that the workers share cannot be used ({error.strerror or type(error).__name__})"


@dataclass(frozen=True)
class SharedValues(Generic[T]):
    """The values of one kind in a `SharedCache`.

    `kind` keeps the keys apart from the keys of other kinds. `pack` turns a value into bytes, and `unpack` turns bytes
    into a value. `unpack` returns None, or raises a `ValueError`, if the bytes are not a valid value.
    """

    cache: SharedCache
    kind: str
    pack: Callable[[T], bytes]
    unpack: Callable[[bytes], T | None]

    def get(self, key: Sequence[str]) -> T | None:
        """Return the value of a key, or None if the value is missing."""
        stored = self.cache.get(self._digest(key))
        with suppress(ValueError):
            return None if stored is None else self.unpack(stored)
        return None

    def put(self, key: Sequence[str], value: T) -> None:
        self.cache.put(self._digest(key), self.pack(value))

    def _digest(self, key: Sequence[str]) -> bytes:
        return hashlib.sha256(json.dumps([FORMAT, self.kind, *key]).encode()).digest()


def _checksum(key: bytes, written: float, value: bytes) -> bytes:
    return hashlib.blake2b(key + struct.pack("<dI", written, len(value)) + value, digest_size=16).digest()


def _checked(header: bytes, value: bytes) -> bytes | None:
    """Return the value of an entry, or None if the entry does not match the checksum in its header."""
    key, checksum, written, length = _HEADER.unpack(header)
    return value if length == len(value) and _checksum(key, written, value) == checksum else None


def _order(file: int, slot: int, key: bytes, now: float) -> float:
    """Return a number that orders slots for replacement: first the slot that has the key, then empty slots, then old
    slots.
    """
    header = os.pread(file, _HEADER.size, slot)
    if len(header) < _HEADER.size:
        return -1.0
    stored, _, written, _ = _HEADER.unpack(header)
    if stored == key:
        return -2.0
    return float(written) if 0 < written <= now else -1.0


def _owned_file(path: Path, size: int) -> int:
    """Open a file that only the user of this process can read and write, and return its descriptor.

    Raises `OSError` if the file or its folder belongs to another user, or if other users can use the folder. The
    message does not name the folder, because `/health` shows the message to everybody.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = path.parent.lstat()
    if folder.st_uid != os.geteuid() or not stat.S_ISDIR(folder.st_mode) or stat.S_IMODE(folder.st_mode) & 0o077:
        raise PermissionError(0, "another user owns the folder of the file, or can use the folder")
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        found = os.fstat(file)
        if found.st_uid != os.geteuid() or not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            raise PermissionError(0, "it is not a regular file that only this user can read and write")
        if found.st_size != size:
            os.ftruncate(file, size)  # The file is sparse: only its entries take space on the disk.
    except BaseException:
        os.close(file)
        raise
    return file
