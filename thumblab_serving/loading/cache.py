"""What was made last, by name, so that it is not made again."""

import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

import numpy as np

T = TypeVar("T")

_ENTRY = 300  # bytes of an entry without what is in it


class Cache(Generic[T]):
    """The values used last, at most `size` of them and `limit` bytes; safe from many threads, which may make the same value
    at once."""

    def __init__(self, size: int, limit: int = 32 * 2**20) -> None:
        self.limit = limit
        self._size = size
        self._used = 0
        self._values: OrderedDict[Hashable, tuple[T, int]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._values)

    @property
    def used(self) -> int:
        """Bytes that the values take, with their names."""
        return self._used

    def get(self, name: Hashable, make: Callable[[], T]) -> T:
        """The value called `name`, made when it is not there."""
        with self._lock:
            if name in self._values:
                self._values.move_to_end(name)
                return self._values[name][0]
        made = make()
        weighs = _ENTRY + weight(made) + weight(name)
        with self._lock:
            self._used += weighs - self._values.pop(name, (None, 0))[1]
            self._values[name] = made, weighs
            while self._used > self.limit or len(self._values) > self._size:
                self._used -= self._values.popitem(last=False)[1][1]
        return made


def weight(value: Any) -> int:
    """Bytes that a value takes with all that it consists of; what is shared counts each time."""
    if isinstance(value, np.ndarray):
        root = value
        while isinstance(root.base, np.ndarray):
            root = root.base
        return max(value.nbytes, root.nbytes)  # of a buffer, as safetensors reads it, `getsizeof` knows nothing
    own = sys.getsizeof(value)
    if isinstance(value, dict):
        return own + sum(weight(key) + weight(one) for key, one in value.items())
    if isinstance(value, tuple | list | set | frozenset):
        return own + sum(map(weight, value))
    if isinstance(value, BaseException):
        return own + weight(value.args)
    return own + (weight(vars(value)) if hasattr(value, "__dict__") else 0)
