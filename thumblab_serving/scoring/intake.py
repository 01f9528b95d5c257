"""Read the pictures of a request. Each picture comes as bytes, base64 or a URL. Then decode, encode and measure it."""

import base64
import binascii
import logging
import os
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as DeadlineError
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from thumblab_core.encoders.protocol import Vectors
from thumblab_core.errors import LabError
from thumblab_core.fetch import Fetcher
from thumblab_core.images import MAX_BYTES, ImageError, decode, too_long
from thumblab_core.images.limits import DECODED_APART, format_of
from thumblab_core.images.perceptual import Appearance
from thumblab_core.sub_scores import Measurement
from thumblab_serving.loading.cache import Cache
from thumblab_serving.loading.encoding import Encoders
from thumblab_serving.loading.sent_picture import KnownPicture, PictureFacts, SentPicture, UnknownPictureError
from thumblab_serving.loading.shared_values import shared_facts
from thumblab_serving.loading.sub_score_meters import SubScoreMeters
from thumblab_serving.workers.shared_cache import SharedCache

EXAMINING = min(4, os.cpu_count() or 1)
"""Maximum number of pictures that are decoded, encoded and measured at the same time."""

T = TypeVar("T")

_log = logging.getLogger("thumblab_serving")

_FETCHES = 32
"""Maximum number of pictures that are being fetched, or that were fetched and still wait to be examined."""

_LARGEST_IN_MEMORY = 2**20
"""A fetched picture that has more than this number of bytes waits in a file on the disk until it is examined."""

_PATIENCE_S = 30.0
"""Maximum number of seconds that an AVIF or HEIC file waits for the decoding of the previous file. A hostile file takes
all the time that its decoder allows.
"""

_MOST_APART = 64
"""Maximum number of AVIF and HEIC files that wait for their turn."""

_HEAD = 1024
"""The number of bytes from which the format of a picture is recognised."""

_CACHED_FACTS = 4096

_LONGEST_BASE64 = MAX_BYTES * 4 // 3 + MAX_BYTES // 32
"""Maximum number of characters of a picture in base64, with line breaks and a `data:` prefix."""


@dataclass(frozen=True)
class Source:
    """The picture of a candidate as it was sent. Exactly one of `data`, `base64`, `url` and `error` is not None.

    `error` says why the picture could not be read when the request was received. `title` is the candidate's own title,
    or None.
    """

    id: str
    data: bytes | None = None
    base64: str | None = None
    url: str | None = None
    error: str | None = None
    title: str | None = None


@dataclass(frozen=True)
class ExaminedPicture:
    """A picture's size in pixels, its vectors, its appearance and its sub-scores.

    `vectors` contains a unit vector [d] from each image encoder, under the fingerprint of the encoder. `sha256` is the
    digest of the picture's file. `animated` says whether the file has several frames. Only one frame is examined.
    """

    width: int
    height: int
    vectors: dict[str, Vectors]
    appearance: Appearance
    measurement: Measurement
    sha256: str = ""
    animated: bool = False


@dataclass(frozen=True)
class Candidate:
    """A picture to score. If it could not be read or examined, `picture` is None and `error` says why."""

    id: str
    picture: ExaminedPicture | None
    error: str | None = None


class Intake:
    """The intake of pictures. It has its own threads, which fetch and examine the pictures.

    Each examining thread has one decoded picture in memory, so the number of these threads limits the memory. At most
    `_FETCHES` pictures are being fetched or wait to be examined. Large pictures wait on the disk. All pictures of a
    request must arrive within `patience` seconds.

    A separate thread decodes AVIF and HEIC files, one at a time, so that other pictures do not wait for these files.

    A picture is not decoded if everything that an answer needs to know about the picture is cached. If it was uploaded
    and has at most `_LARGEST_IN_MEMORY` bytes, the calling thread then examines it, and no examining thread is needed.
    A search for people needs the pixels, so it needs an examining thread. With `shared`, the workers of the service
    share the facts of pictures.
    """

    def __init__(
        self, fetcher: Fetcher, measuring: SubScoreMeters, patience: float, shared: SharedCache | None = None
    ) -> None:
        self._fetcher = fetcher
        self._measuring = measuring
        self._patience = patience
        self._fetching = ThreadPoolExecutor(_FETCHES, "fetch")
        self.facts = Cache[PictureFacts](_CACHED_FACTS, shared=shared_facts(shared))
        self._fetch_slots = threading.Semaphore(_FETCHES)
        self._examining = ThreadPoolExecutor(EXAMINING, "examine")
        self._apart = ThreadPoolExecutor(1, "apart")
        self._apart_slots = threading.Semaphore(_MOST_APART)

    def close(self) -> None:
        """Stop the threads. Does not wait for fetches, because a slow name resolver may block a fetch for minutes."""
        self._fetching.shutdown(wait=False, cancel_futures=True)
        self._examining.shutdown(cancel_futures=True)
        self._apart.shutdown(cancel_futures=True)
        self._fetcher.close()

    def examine(
        self,
        sources: Sequence[Source],
        title: str,
        encoders: Encoders,
        fingerprints: Sequence[str],
        also: Callable[[str, SentPicture], None] | None = None,
    ) -> list[Candidate]:
        """Return a candidate for each source, in order. If a picture cannot be read, its candidate has an error.

        Each picture is encoded with each image encoder in `fingerprints`. The sub-score `title_match` is measured with
        the first of these encoders. The sub-score compares the picture with the source's own title, or with `title` if
        the source has no title. `also` is called with the id and the `SentPicture` of each picture that could be
        examined.
        """

        def examine_sent(source: Source, sent: SentPicture) -> ExaminedPicture:
            facts = self.facts.get((sent.sha256,), sent.facts)
            vectors = {name: encoders.picture(name, sent) for name in fingerprints}
            first = fingerprints[0]
            measurement = self._measuring.measure(sent, source.title or title, vectors[first], encoders, first)
            if also is not None:
                also(source.id, sent)
            rest = (facts.appearance, measurement, sent.sha256, facts.animated)
            return ExaminedPicture(facts.width, facts.height, vectors, *rest)

        # A known picture needs no decoding, so it needs no examining thread. Larger files go to an examining thread in
        # any case, because a picture that is not known would be hashed twice.
        known = dict[int, Candidate]()
        for number, source in enumerate(sources):
            if also is None and source.data is not None and len(source.data) <= _LARGEST_IN_MEMORY:
                with suppress(UnknownPictureError):
                    known[number] = _candidate(source, partial(examine_sent, source, KnownPicture(source.data)))
        unknown = [source for number, source in enumerate(sources) if number not in known]
        started = iter(self._start(unknown, lambda source, data: examine_sent(source, SentPicture(data))))
        return [
            known[number] if number in known else _candidate(source, next(started))
            for number, source in enumerate(sources)
        ]

    def encode(self, source: Source, encoders: Encoders, fingerprint: str) -> Vectors:
        """Return the unit vector [d] of a picture, and measure nothing else. Raises `LabError` if the picture cannot be
        read.
        """

        def encode_bytes(_: Source, data: bytes) -> Vectors:
            return encoders.picture(fingerprint, SentPicture(data))

        return self._start([source], encode_bytes)[0]()

    def read(self, sources: Sequence[Source]) -> list[bytes | LabError]:
        """Return the bytes of each picture, or the error that says why the picture cannot be read or decoded."""

        def decode_bytes(_: Source, data: bytes) -> bytes:
            decode(data)
            return data

        return [_bytes_or_error(wait) for wait in self._start(sources, decode_bytes)]

    def _start(self, sources: Sequence[Source], work: Callable[[Source, bytes], T]) -> list[Callable[[], T]]:
        """Start `work` on the bytes of each picture, in the examining threads.

        Each returned function waits for the result of one picture, and returns this result or raises the error.
        """
        deadline = time.monotonic() + self._patience

        def fetch(source: Source, url: str) -> Future[T]:
            self._fetch_slots.acquire()
            file = tempfile.SpooledTemporaryFile(_LARGEST_IN_MEMORY)  # noqa: SIM115  `finish` closes the file
            slots = [self._fetch_slots]

            def finish(_: object = None) -> None:
                file.close()
                for slot in slots:
                    slot.release()

            def examine() -> T:
                file.seek(0)
                return work(source, file.read())

            try:
                self._fetcher.download(url, file, MAX_BYTES, max(0.0, deadline - time.monotonic()))
                # The request was already answered without this picture, so do not examine the picture.
                if time.monotonic() > deadline:
                    raise self._late()
                file.seek(0)
                if _is_decoded_apart(file.read(_HEAD)):
                    examined = self._in_turn(examine)
                    slots.pop().release()  # While the file waits to be decoded, other pictures are fetched.
                else:
                    examined = self._examining.submit(examine)
            except BaseException:
                finish()
                raise
            examined.add_done_callback(finish)
            return examined

        def examine_sent(source: Source) -> Callable[[], T]:
            data = _bytes_of(source)
            if _is_decoded_apart(data):  # Keep only the base64 in memory. `_bytes_of` gives the bytes again later.
                return self._in_turn(lambda: work(source, _bytes_of(source))).result
            result = work(source, data)
            return lambda: result

        def start(source: Source) -> Callable[[], T]:
            """Start to examine a source. The returned function waits for the result and returns it."""
            if source.url is None:
                started = self._examining.submit(examine_sent, source)
                return lambda: started.result()()
            fetched = self._fetching.submit(fetch, source, source.url)
            return lambda: self._wait_for_arrival(fetched, deadline).result()

        return [start(source) for source in sources]

    def _in_turn(self, work: Callable[[], T]) -> Future[T]:
        """Start `work` on an AVIF or HEIC file after the files that wait already. Raises `ImageError` if too many files
        wait.

        If the earlier files take too long, the result is an `ImageError`.
        """
        if not self._apart_slots.acquire(blocking=False):
            raise ImageError(
                f"{_MOST_APART} AVIF or HEIC files wait already; send the picture again, or save it as PNG"
            )
        latest = time.monotonic() + _PATIENCE_S

        def do() -> T:
            if time.monotonic() > latest:
                raise ImageError(
                    f"other AVIF or HEIC files took more than {_PATIENCE_S:g} s; send the picture again, or save it as PNG"
                )
            return work()

        try:
            examined = self._apart.submit(do)
        except BaseException:
            self._apart_slots.release()
            raise
        examined.add_done_callback(lambda _: self._apart_slots.release())
        return examined

    def _wait_for_arrival(self, fetched: Future[Future[T]], deadline: float) -> Future[T]:
        try:
            return fetched.result(max(0.0, deadline - time.monotonic()))
        except DeadlineError:  # The fetch hangs in a step that has no deadline, or other fetches occupy all threads.
            fetched.cancel()
            raise self._late() from None

    def _late(self) -> ImageError:
        return ImageError(f"the picture did not arrive within {self._patience:g} s")


def _is_decoded_apart(data: bytes) -> bool:
    try:
        return format_of(data) in DECODED_APART
    except ImageError:
        return False


def _candidate(source: Source, wait: Callable[[], ExaminedPicture]) -> Candidate:
    try:
        return Candidate(source.id, wait())
    except UnknownPictureError:
        raise
    except LabError as error:
        return Candidate(source.id, None, str(error))
    except Exception as error:  # noqa: BLE001  a bad picture may cause any error, and must not stop the others
        _log.exception("a picture could not be examined")
        return Candidate(source.id, None, f"the picture could not be examined ({type(error).__name__})")


def _bytes_or_error(wait: Callable[[], bytes]) -> bytes | LabError:
    try:
        return wait()
    except LabError as error:
        return error


def _bytes_of(source: Source) -> bytes:
    """Return the bytes of a picture that was sent in the request.

    Raises `ImageError` if the bytes could not be read or are too many, or if the base64 is not valid.
    """
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
