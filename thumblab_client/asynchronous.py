"""The client for programs with asyncio. Its methods are those of `Client`, as coroutines."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
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


class AsyncClient:
    """A client of the scoring service. Use it in an `async with` statement, or await `close`.

    The parameters and the errors are those of `Client`.
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
        self._http = httpx.AsyncClient(**self._connection.options)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._connection.url!r})"

    async def close(self) -> None:
        """Close the connections to the service."""
        await self._http.aclose()

    async def score(
        self,
        title: str,
        pictures: Iterable[PictureLike],
        *,
        category: str | None = None,
        channel_id: str | None = None,
    ) -> ScoreAnswer:
        """Rank pictures for a title in a niche, see `Client.score`. Files are read in a thread."""
        return await self.send(await asyncio.to_thread(requests.score, title, pictures, category, channel_id))

    async def store_experiment(
        self,
        channel_id: str,
        video_id: str,
        started_on: date,
        outcome: str,
        variants: Sequence[Variant],
        **optional: date | int | None,
    ) -> StoredExperimentOut:
        """Store an experiment, see `Client.store_experiment`. Files are read in a thread."""
        call = await asyncio.to_thread(
            requests.store_experiment, channel_id, video_id, started_on, outcome, variants, **optional
        )
        return await self.send(call)

    async def experiments(
        self, channel_id: str | None = None, *, limit: int = 20, cursor: str | None = None
    ) -> ExperimentsOut:
        """Return a page of the stored experiments, the newest first. `next_cursor` is the cursor of the next page."""
        return await self.send(requests.experiments(channel_id, limit, cursor))

    async def all_experiments(self, channel_id: str | None = None) -> AsyncIterator[ExperimentOut]:
        """Yield all stored experiments, the newest first. Pages are requested as they are needed."""
        cursor: str | None = None
        while True:
            page = await self.experiments(channel_id, limit=100, cursor=cursor)
            for experiment in page.experiments:
                yield experiment
            cursor = page.next_cursor
            if cursor is None:
                return

    async def health(self) -> HealthOut:
        """Return the state of every component of the service, whether it is ready or not."""
        return await self.send(requests.health())

    async def ready(self) -> HealthOut:
        """Return the state of a service that can score. Raises `UnavailableError` with the reason if it cannot."""
        return await self.send(requests.ready())

    async def lab(self) -> LabOut:
        """Return the libraries and the model of the lab: their sizes, their age and the model's skill."""
        return await self.send(requests.lab())

    async def send(self, call: Call[T]) -> T:
        """Send a request, again if the service is busy, and return its answer."""
        retried, waited = 0, 0.0
        while True:
            try:
                response = await self._http.request(call.method, call.path, **call.content)
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
            await asyncio.sleep(wait)
            retried, waited = retried + 1, waited + wait
