"""A cache of recently used values, with a limit on the number and a limit on the bytes of the values. Workers may share
the values.
"""

import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

import numpy as np

from thumblab_serving.workers.shared_cache import SharedValues

T = TypeVar("T")

_ENTRY_BYTES = 300
"""Estimated number of bytes that an entry takes in addition to its key and its value."""


class Cache(Generic[T]):
    """The most recently used values: at most `size` values, and at most `limit` bytes.

    Many threads may use a cache at the same time. If two threads request the same missing key at the same time, both
    may make its value. With `shared`, the other workers of the service find the values too. The keys are then tuples of
    strings.

    `lookups` has three counts of calls of `get`: the value was in `memory`, was in the `shared` cache, or was `made`.
    """

    def __init__(self, size: int, limit: int = 32 * 2**20, shared: SharedValues[T] | None = None) -> None:
        self.limit = limit
        self.lookups = dict.fromkeys(("memory", "shared", "made"), 0)
        self._shared = shared
        self._size = size
        self._used = 0
        self._values: OrderedDict[Hashable, tuple[T, int]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._values)

    @property
    def used(self) -> int:
        """Estimated number of bytes that all entries take."""
        return self._used

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return the value of a key. If the value is not cached, call `make`, and cache the result."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                self.lookups["memory"] += 1
                return self._values[key][0]
        value, found = self._share_or_make(key, make)
        size = _ENTRY_BYTES + memory_of(value) + memory_of(key)
        with self._lock:
            self.lookups[found] += 1
            self._used += size - self._values.pop(key, (None, 0))[1]
            self._values[key] = value, size
            while self._used > self.limit or len(self._values) > self._size:
                self._used -= self._values.popitem(last=False)[1][1]
        return value

    def _share_or_make(self, key: Hashable, make: Callable[[], T]) -> tuple[T, str]:
        """Return the value that another worker has made. If no worker has made the value, make it and share it.

        The second result is `shared` if another worker has made the value, and otherwise `made`.
        """
        if self._shared is None:
            return make(), "made"
        assert isinstance(key, tuple)
        value = self._shared.get(key)
        if value is not None:
            return value, "shared"
        value = make()
        self._shared.put(key, value)
        return value, "made"


class OwnedCaches(Generic[T]):
    """Caches that each belong to an object. When nothing else uses the object any more, its cache is deleted.

    Each cache has at most `size` values, and at most `limit` bytes. The metrics count all of them together.
    """

    def __init__(self, size: int, limit: int) -> None:
        self.lookups = dict.fromkeys(("memory", "shared", "made"), 0)
        self._size = size
        self._limit = limit
        self._caches: WeakKeyDictionary[object, Cache[T]] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def of(self, owner: object) -> Cache[T]:
        """Return the cache of an object."""
        with self._lock:
            cache = self._caches.get(owner)
            if cache is None:
                cache = self._caches[owner] = Cache(self._size, self._limit)
                # All caches add to one count of lookups, which stays when a cache is dropped.
                cache.lookups, cache._lock = self.lookups, self._lock
            return cache

    @property
    def used(self) -> int:
        """Estimated number of bytes that all entries of all caches take."""
        return sum(cache.used for cache in list(self._caches.values()))

    @property
    def limit(self) -> int:
        """Maximum number of bytes of the caches that there are now."""
        return self._limit * len(self._caches)


AnyCache = Cache[Any] | OwnedCaches[Any]


def memory_of(value: Any) -> int:
    """Return how many bytes a value takes, together with everything that it contains.

    If the value contains an object several times, each occurrence counts.
    """
    if isinstance(value, np.ndarray):
        root = value
        while isinstance(root.base, np.ndarray):
            root = root.base
        # `value` may be a view of the larger array `root`, which then stays in memory. So the larger of the two sizes
        # counts. `getsizeof` would not count memory that another library, such as safetensors, has allocated.
        return max(value.nbytes, root.nbytes)
    own = sys.getsizeof(value)
    if isinstance(value, dict):
        return own + sum(memory_of(key) + memory_of(item) for key, item in value.items())
    if isinstance(value, tuple | list | set | frozenset):
        return own + sum(map(memory_of, value))
    if isinstance(value, BaseException):
        return own + memory_of(value.args)
    return own + (memory_of(vars(value)) if hasattr(value, "__dict__") else 0)
