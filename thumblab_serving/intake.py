"""From what a caller sent (bytes, base64 or a URL) to what is known of the picture, or a sentence why it is not."""

import base64
import binascii
import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from thumblab_core.encoders.protocol import Vectors
from thumblab_core.errors import LabError
from thumblab_core.fetch import Fetcher
from thumblab_core.images import ImageError, decode
from thumblab_core.sub_scores import Measurement
from thumblab_serving.encoding import Encoders
from thumblab_serving.measuring import Measuring

_FETCHES = 8


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

    The examining threads bound the memory: so many decoded pictures exist at a time and no more, however many requests
    there are. Fetching has its own threads, so that a slow host delays nobody else.
    """

    def __init__(self, fetcher: Fetcher, measuring: Measuring) -> None:
        self._fetcher = fetcher
        self._measuring = measuring
        self._fetching = ThreadPoolExecutor(_FETCHES, "fetch")
        self._examining = ThreadPoolExecutor(min(4, os.cpu_count() or 1), "examine")

    def close(self) -> None:
        self._fetching.shutdown(cancel_futures=True)
        self._examining.shutdown(cancel_futures=True)
        self._fetcher.close()

    def examine(
        self, sources: Sequence[Source], title: str, encoders: Encoders, fingerprints: Sequence[str]
    ) -> list[Candidate]:
        """Every source as a candidate, in order; a picture that cannot be read is a candidate with an error.

        Each is encoded with each of the image encoders; `title_match` is measured with the first.
        """

        def look(data: bytes) -> Examined:
            picture = decode(data)
            vectors = {name: encoders.picture(name, picture.sha256, data) for name in fingerprints}
            found = self._measuring.measure(picture, title, vectors[fingerprints[0]], encoders, fingerprints[0])
            return Examined(picture.width, picture.height, vectors, found)

        def read(source: Source) -> Examined:
            return self._examining.submit(look, self._fetcher.get(source.url or "").body).result()

        def start(source: Source) -> Future[Examined]:
            if source.url is not None:
                return self._fetching.submit(read, source)
            return self._examining.submit(lambda: look(_bytes(source)))

        return [_candidate(source, future) for source, future in [(source, start(source)) for source in sources]]


def _candidate(source: Source, future: Future[Examined]) -> Candidate:
    try:
        return Candidate(source.id, future.result())
    except LabError as error:
        return Candidate(source.id, None, str(error))


def _bytes(source: Source) -> bytes:
    if source.error is not None:
        raise ImageError(source.error)
    if source.data is not None:
        return source.data
    text = source.base64 or ""
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise ImageError("image_base64 is not base64") from None
