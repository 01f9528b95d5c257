"""The client for programs without asyncio."""

import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from http import HTTPStatus
from typing import Self, TypeVar

import httpx

from thumblab_client import requests
from thumblab_client.connection import BROKEN, Connection
from thumblab_client.models.answer import ScoreAnswer
from thumblab_client.models.experiments import ExperimentOut, ExperimentsOut, StoredExperimentOut
from thumblab_client.models.health import HealthOut
from thumblab_client.models.lab import LabOut
from thumblab_client.pictures import PictureLike
from thumblab_client.requests import Call, Variant
from thumblab_client.waiting import Patience

T = TypeVar("T")


class Client:
    """A client of the scoring service. Use it in a `with` statement, or call `close`. Threads may share it.

    `url` and `key` default to the variables THUMBLAB_SERVING_URL and THUMBLAB_API_KEY. An answer may take `timeout`
    seconds. `patience` says how often and how long the client waits for a busy service.

    Every method raises a `ProblemError` if the service refuses the request, `NoAnswerError` if there is no answer, and
    `UnexpectedAnswerError` if something else than the service answered.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        timeout: float = 120.0,
        patience: Patience | None = None,
    ) -> None:
        self._connection = Connection.of(url, key, timeout)
        self._patience = patience or Patience()
        self._http = httpx.Client(**self._connection.options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._connection.url!r})"

    def close(self) -> None:
        """Close the connections to the service."""
        self._http.close()

    def score(
        self,
        title: str,
        pictures: Iterable[PictureLike],
        *,
        category: str | None = None,
        channel_id: str | None = None,
    ) -> ScoreAnswer:
        """Rank 1 to 20 pictures for a title in a niche (`category`; the service's default is tech).

        A picture is a `Picture`, a path, or a URL of an image host that the service allows. If the lab knows the
        channel, the answer is adapted to it. Raises `PictureError` if a file cannot be read.
        """
        return self.send(requests.score(title, pictures, category, channel_id))

    def store_experiment(
        self,
        channel_id: str,
        video_id: str,
        started_on: date,
        outcome: str,
        variants: Sequence[Variant],
        **optional: date | int | None,
    ) -> StoredExperimentOut:
        """Store what happened when two or three variants were tested on one video.

        `outcome` is `winner`, `performed_the_same` or `inconclusive`. `optional` may have `ended_on` (the last day) and
        `winner` (the number of the winning variant, from 1). The same channel, video and first day are stored once.
        """
        return self.send(requests.store_experiment(channel_id, video_id, started_on, outcome, variants, **optional))

    def experiments(
        self, channel_id: str | None = None, *, limit: int = 20, cursor: str | None = None
    ) -> ExperimentsOut:
        """Return a page of the stored experiments, the newest first. `next_cursor` is the cursor of the next page."""
        return self.send(requests.experiments(channel_id, limit, cursor))

    def all_experiments(self, channel_id: str | None = None) -> Iterator[ExperimentOut]:
        """Yield all stored experiments, the newest first. Pages are requested as they are needed."""
        page = self.experiments(channel_id, limit=100)
        yield from page.experiments
        while page.next_cursor is not None:
            page = self.experiments(channel_id, limit=100, cursor=page.next_cursor)
            yield from page.experiments

    def health(self) -> HealthOut:
        """Return the state of every component of the service, whether it is ready or not."""
        return self.send(requests.health())

    def ready(self) -> HealthOut:
        """Return the state of a service that can score. Raises `UnavailableError` with the reason if it cannot."""
        return self.send(requests.ready())

    def lab(self) -> LabOut:
        """Return the libraries and the model of the lab: their sizes, their age and the model's skill."""
        return self.send(requests.lab())

    def send(self, call: Call[T]) -> T:
        """Send a request, again if the service is busy, and return its answer."""
        retried, waited = 0, 0.0
        while True:
            try:
                response = self._http.request(call.method, call.path, **call.content)
            except BROKEN as error:
                wait = self._patience.wait(HTTPStatus.SERVICE_UNAVAILABLE, None, retried, waited)
                if wait is None:
                    raise self._connection.no_answer(error) from None
            except httpx.HTTPError as error:
                raise self._connection.no_answer(error) from None
            else:
                wait = self._patience.wait(response.status_code, response.headers.get("Retry-After"), retried, waited)
                if wait is None:
                    return call.read(response)
            time.sleep(wait)
            retried, waited = retried + 1, waited + wait
