"""Encode many pictures in batches. Threads read, decode and prepare the next pictures while the model runs."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from thumblab_core.computing.cores import usable_cores
from thumblab_core.encoders.protocol import ImageEncoder, Vectors, usable
from thumblab_core.images import ImageError, decode

K = TypeVar("K")
Read = Callable[[], bytes]

_THREADS = min(4, usable_cores())
_WORTHWHILE_SPEEDUP = 1.05
"""The least speed-up for which a doubled batch size is kept. Speed is the number of encoded pictures per second.

On a busy machine, the speed of one batch size varies by less than 5 %.
"""


@dataclass(frozen=True)
class EncodedBatch(Generic[K]):
    """The result for a batch of pictures.

    Attributes:
        keys: the keys of the pictures that have a vector.
        vectors: their unit vectors, float32 [len(keys), d].
        unreadable: the pictures that could not be read, each with the reason. A later attempt may succeed.
        without: the pictures for which the encoder gives no vector. A later attempt would fail too.
    """

    keys: list[K]
    vectors: Vectors
    unreadable: list[tuple[K, str]]
    without: list[K]

    def __len__(self) -> int:
        return len(self.keys) + len(self.unreadable) + len(self.without)


class BatchSize:
    """A search for the batch size with which the encoder is fastest.

    The size is doubled as long as this makes the encoder faster, at most to `largest`.
    """

    def __init__(self, largest: int, first: int = 4) -> None:
        self.now = min(first, largest)
        self._largest = largest
        self._settled = False
        self._fastest = 0.0

    def took(self, pictures: int, seconds: float) -> None:
        """Choose the next batch size from the time that one batch took.

        A batch that is smaller than the present size, such as the last batch of a stream, is ignored.
        """
        if self._settled or pictures < self.now:
            return
        rate = pictures / max(seconds, 1e-9)
        if rate < self._fastest * _WORTHWHILE_SPEEDUP:
            self.now, self._settled = self.now // 2, True
            return
        self._fastest = rate
        if self.now * 2 > self._largest:
            self._settled = True
        else:
            self.now *= 2


def encode_stream(
    encoder: ImageEncoder, pictures: Iterable[tuple[K, Read]], size: BatchSize | None = None
) -> Iterator[EncodedBatch[K]]:
    """Encode pictures, and yield their batches in the given order.

    Each picture is given as a key and a function that reads its bytes. `pictures` is iterated in the calling thread,
    but the bytes are read in other threads. At any time, at most two batches of prepared pictures and one decoded
    picture per thread are in memory. A picture that cannot be read is reported in its batch. Any other error ends the
    stream.

    `size` is an earlier stream's search for the best batch size, which this stream continues. Without `size`, a new
        search begins.
    """
    size = size or BatchSize(encoder.largest_batch)
    source = iter(pictures)
    waiting: deque[tuple[K, Future[npt.NDArray[Any]]]] = deque()

    def prepare(read: Read) -> npt.NDArray[Any]:
        return encoder.prepare(decode(read(), encoder.decode_size).pixels)

    with ThreadPoolExecutor(_THREADS, "prepare") as threads:

        def submit(count: int) -> None:
            waiting.extend((key, threads.submit(prepare, read)) for key, read in islice(source, count))

        try:
            submit(2 * size.now)
            while waiting:
                keys, prepared, unreadable = [], [], []
                for _ in range(min(size.now, len(waiting))):
                    key, future = waiting.popleft()
                    try:
                        prepared.append(future.result())
                        keys.append(key)
                    except ImageError as error:
                        unreadable.append((key, str(error)))
                # More pictures are submitted before the model runs, so that threads prepare these pictures while it
                # runs.
                submit(max(0, 2 * size.now - len(waiting)))
                start = time.perf_counter()
                vectors = (
                    encoder.encode_prepared(prepared) if prepared else np.zeros((0, encoder.dimension), np.float32)
                )
                size.took(len(prepared), time.perf_counter() - start)
                has_vector = usable(vectors)
                encoded = [key for key, good in zip(keys, has_vector, strict=True) if good]
                without = [key for key, good in zip(keys, has_vector, strict=True) if not good]
                yield EncodedBatch(encoded, vectors[has_vector], unreadable, without)
        finally:
            for _, future in waiting:
                future.cancel()
