"""Encode many pictures: other threads read, decode and prepare the next ones while the model works on these."""

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from thumblab_core.encoders.protocol import ImageEncoder, Vectors, usable
from thumblab_core.images import ImageError, decode

K = TypeVar("K")
Read = Callable[[], bytes]

_THREADS = min(4, os.cpu_count() or 1)
_WORTH = 1.05
"""A larger batch is kept when it is this much faster: timings of a busy machine differ by less for no reason."""


@dataclass(frozen=True)
class EncodedBatch(Generic[K]):
    """What became of some of the pictures: their unit vectors [len(keys), d], and the sentences why others have none.

    `unreadable` pictures can be read another day; of those `without` one the encoder makes none, however often it is asked.
    """

    keys: list[K]
    vectors: Vectors
    unreadable: list[tuple[K, str]]
    without: list[K]

    def __len__(self) -> int:
        return len(self.keys) + len(self.unreadable) + len(self.without)


class BatchSize:
    """Finds the batch that encodes fastest, by doubling it for as long as that pays, up to `largest`."""

    def __init__(self, largest: int, first: int = 4) -> None:
        self.now = min(first, largest)
        self._largest = largest
        self._settled = False
        self._fastest = 0.0

    def took(self, pictures: int, seconds: float) -> None:
        """Learn from a full batch of `now`; a smaller one, such as the last, says nothing."""
        if self._settled or pictures < self.now:
            return
        rate = pictures / max(seconds, 1e-9)
        if rate < self._fastest * _WORTH:
            self.now, self._settled = self.now // 2, True
            return
        self._fastest = rate
        if self.now * 2 > self._largest:
            self._settled = True
        else:
            self.now *= 2


def encode_stream(encoder: ImageEncoder, pictures: Iterable[tuple[K, Read]]) -> Iterator[EncodedBatch[K]]:
    """Encode pictures, each a key and what reads its bytes, in order and in batches.

    `pictures` is drawn from in the calling thread, the bytes are read in others. At most two batches of prepared pictures
    and one per thread of decoded ones are in memory, however many there are. A picture that cannot be read is reported in
    its batch; any other error ends the stream.
    """
    size = BatchSize(encoder.largest_batch)
    source = iter(pictures)
    waiting: deque[tuple[K, Future[npt.NDArray[Any]]]] = deque()

    def prepared(read: Read) -> npt.NDArray[Any]:
        return encoder.prepare(decode(read(), encoder.decode_size).pixels)

    with ThreadPoolExecutor(_THREADS, "prepare") as threads:

        def draw(count: int) -> None:
            waiting.extend((key, threads.submit(prepared, read)) for key, read in islice(source, count))

        try:
            draw(2 * size.now)
            while waiting:
                keys, ready, unreadable = [], [], []
                for _ in range(min(size.now, len(waiting))):
                    key, future = waiting.popleft()
                    try:
                        ready.append(future.result())
                        keys.append(key)
                    except ImageError as error:
                        unreadable.append((key, str(error)))
                draw(max(0, 2 * size.now - len(waiting)))  # before the model starts: these are prepared while it runs
                start = time.perf_counter()
                vectors = encoder.encode_prepared(ready) if ready else np.zeros((0, encoder.dimension), np.float32)
                size.took(len(ready), time.perf_counter() - start)
                real = usable(vectors)
                chosen = [key for key, is_real in zip(keys, real, strict=True) if is_real]
                without = [key for key, is_real in zip(keys, real, strict=True) if not is_real]
                yield EncodedBatch(chosen, vectors[real], unreadable, without)
        finally:
            for _, future in waiting:
                future.cancel()
