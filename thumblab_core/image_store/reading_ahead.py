"""Read pictures before they are needed, so that the latency of a store does not delay every picture."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import TypeVar

from thumblab_core.image_store.store import ImageStore
from thumblab_core.images import ImageError
from thumblab_core.object_store.bucket import StoreAwayError, StoreError

T = TypeVar("T")
Read = Callable[[], bytes]


class UnreadImageError(ImageError):
    """The error for a picture that cannot be fetched now. A later attempt may succeed."""

    transient = True


def read_ahead(images: ImageStore, wanted: Iterable[T], name: Callable[[T], str]) -> Iterator[tuple[T, Read]]:
    """Yield each wanted picture with a function that returns its bytes. `name` returns the SHA-256 of a picture.

    While the caller works on a picture, the next `reads_at_once` pictures are read in other threads. If a picture
    cannot be fetched now, its function raises `UnreadImageError`, and the other pictures can still be read. During an
    outage of the store, the functions raise `StoreAwayError`.
    """
    left = iter(wanted)
    reading: deque[tuple[T, Future[bytes]]] = deque()
    threads = ThreadPoolExecutor(images.reads_at_once, "read")
    try:
        while True:
            for picture in islice(left, images.reads_at_once + 1 - len(reading)):
                reading.append((picture, threads.submit(images.get, name(picture))))
            if not reading:
                return
            picture, future = reading.popleft()
            yield picture, partial(_result, future)
    finally:
        # The caller may still read pictures that were yielded. Only the reading of pictures that were not yielded is
        # cancelled.
        for _, future in reading:
            future.cancel()
        threads.shutdown(wait=False)


def _result(future: "Future[bytes]") -> bytes:
    try:
        return future.result()
    except StoreAwayError:
        raise
    except StoreError as error:
        raise UnreadImageError(f"the picture cannot be read now ({error})") from None
