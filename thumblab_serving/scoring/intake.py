"""From what a caller sent (bytes, base64 or a URL) to what is known of the picture, or a sentence why it is not."""

import base64
import binascii
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as DeadlineError
from dataclasses import dataclass

from thumblab_core.encoders.protocol import Vectors
from thumblab_core.errors import LabError
from thumblab_core.fetch import Fetcher
from thumblab_core.images import MAX_BYTES, ImageError, decode, too_long
from thumblab_core.sub_scores import Measurement
from thumblab_serving.loading.encoding import Encoders
from thumblab_serving.loading.measuring import Measuring

EXAMINING = min(4, os.cpu_count() or 1)
"""Pictures that are decoded, encoded and measured at a time."""
_FETCHES = 32
_LONGEST_BASE64 = MAX_BYTES * 4 // 3 + MAX_BYTES // 32  # with line breaks and a `data:` prefix


@dataclass(frozen=True)
class Source:
    """A thumbnail as it came: exactly one of `data`, `base64`, `url` and `error` (its reader failed already)."""

    id: str
    data: bytes | None = None
    base64: str | None = None
    url: str | None = None
    error: str | None = None


@dataclass(frozen=True)
class Examined:
    """What is known of a picture: its size, its unit vectors [d] by image encoder, and what was measured."""

    width: int
    height: int
    vectors: dict[str, Vectors]
    measurement: Measurement


@dataclass(frozen=True)
class Candidate:
    """A thumbnail to rank; `examined` is None where `error` says why it cannot be."""

    id: str
    examined: Examined | None
    error: str | None = None


class Intake:
    """Reads and examines pictures in its own threads.

    The examining threads bound the decoded pictures in memory, however many requests there are. Fetching has its own
    threads; a fetched picture keeps its place there until it was examined, which bounds the bytes. All pictures of a request
    together have `patience` seconds to arrive.
    """

    def __init__(self, fetcher: Fetcher, measuring: Measuring, patience: float) -> None:
        self._fetcher = fetcher
        self._measuring = measuring
        self._patience = patience
        self._fetching = ThreadPoolExecutor(_FETCHES, "fetch")
        self._places = threading.Semaphore(_FETCHES)
        self._examining = ThreadPoolExecutor(EXAMINING, "examine")

    def close(self) -> None:
        self._fetching.shutdown(wait=False, cancel_futures=True)  # a resolver may hold one for minutes
        self._examining.shutdown(cancel_futures=True)
        self._fetcher.close()

    def examine(
        self, sources: Sequence[Source], title: str, encoders: Encoders, fingerprints: Sequence[str]
    ) -> list[Candidate]:
        """Every source as a candidate, in order; a picture that cannot be read is a candidate with an error.

        Each is encoded with each of the image encoders; `title_match` is measured with the first.
        """
        until = time.monotonic() + self._patience

        def look(data: bytes) -> Examined:
            picture = decode(data)
            vectors = {name: encoders.picture(name, picture.sha256, data) for name in fingerprints}
            found = self._measuring.measure(picture, title, vectors[fingerprints[0]], encoders, fingerprints[0])
            return Examined(picture.width, picture.height, vectors, found)

        def fetch(url: str) -> Future[Examined]:
            self._places.acquire()
            try:
                body = self._fetcher.get(url, within_s=max(0.0, until - time.monotonic())).body
                if time.monotonic() > until:  # its request was answered without it
                    raise self._late()
                examined = self._examining.submit(look, body)
            except BaseException:
                self._places.release()
                raise
            examined.add_done_callback(lambda _: self._places.release())
            return examined

        def start(source: Source) -> Callable[[], Examined]:
            """Have it examined; gives what waits for that."""
            if source.url is None:
                return self._examining.submit(lambda: look(_bytes(source))).result
            fetched = self._fetching.submit(fetch, source.url)
            return lambda: self._arrived(fetched, until).result()

        return [_candidate(source, wait) for source, wait in [(source, start(source)) for source in sources]]

    def _arrived(self, fetched: Future[Future[Examined]], until: float) -> Future[Examined]:
        try:
            return fetched.result(max(0.0, until - time.monotonic()))
        except DeadlineError:  # it hangs where no deadline is kept, or stood in line behind others
            fetched.cancel()
            raise self._late() from None

    def _late(self) -> ImageError:
        return ImageError(f"it did not arrive within {self._patience:g} s")


def _candidate(source: Source, wait: Callable[[], Examined]) -> Candidate:
    try:
        return Candidate(source.id, wait())
    except LabError as error:
        return Candidate(source.id, None, str(error))


def _bytes(source: Source) -> bytes:
    if source.error is not None:
        raise ImageError(source.error)
    if source.data is not None:
        return source.data
    text = source.base64 or ""
    if len(text) > _LONGEST_BASE64:
        raise ImageError(too_long(len(text) * 3 // 4))
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise ImageError("image_base64 is not base64") from None
