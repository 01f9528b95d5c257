"""The client for programs that use asyncio. `AsyncClient` has the methods of `Client` as coroutines."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import date
from functools import partial
from http import HTTPStatus
from typing import Any, Self, TypeVar

import httpx

from thumblab_client import batches, channels, looking, requests
from thumblab_client.batches import Item
from thumblab_client.channels import ExportLike
from thumblab_client.connection import BROKEN, Connection
from thumblab_client.models.answer import ScoreAnswer
from thumblab_client.models.batches import BatchesOut, BatchOut, ItemResult
from thumblab_client.models.channels import ChannelImportOut, KnownChannelOut
from thumblab_client.models.experiments import ExperimentOut, ExperimentsOut, StoredExperimentOut
from thumblab_client.models.health import HealthOut
from thumblab_client.models.lab import LabOut
from thumblab_client.models.library import SimilarOut, VideoOut
from thumblab_client.models.library_index import LibraryClustersOut
from thumblab_client.pictures import PictureLike
from thumblab_client.requests import Call, Variant
from thumblab_client.waiting import Patience

T = TypeVar("T")
P = TypeVar("P", BatchesOut, ExperimentsOut)


class AsyncClient:
    """A client of the scoring service. Use it in an `async with` statement, or await `close`.

    This class has the same parameters and raises the same errors as `Client`.
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

    async def packages(
        self,
        titles: Sequence[str],
        pictures: Iterable[PictureLike],
        *,
        categories: str | Sequence[str] | None = None,
        channel_id: str | None = None,
    ) -> ScoreAnswer:
        """Rank all packages of a title and a picture, see `Client.packages`. Files are read in a thread."""
        return await self.send(await asyncio.to_thread(requests.score, list(titles), pictures, categories, channel_id))

    async def store_batch(
        self,
        items: Iterable[Item],
        *,
        deadline_s: int | None = None,
        webhook: str | None = None,
        idempotency_key: str | None = None,
    ) -> BatchOut:
        """Store up to 1,000 scoring requests, see `Client.store_batch`. Files are read in a thread."""
        return await self.send(await asyncio.to_thread(batches.store, items, deadline_s, webhook, idempotency_key))

    async def batch(self, batch_id: str) -> BatchOut:
        """Return the state and the progress of a batch."""
        return await self.send(batches.show(batch_id))

    async def wait_for_batch(self, batch_id: str, *, every_s: float = 2.0, timeout_s: float | None = None) -> BatchOut:
        """Ask for the state of a batch every `every_s` seconds until the batch has ended. Return the last state, see
        `Client.wait_for_batch`.
        """
        end = None if timeout_s is None else time.monotonic() + timeout_s
        while not batches.has_ended(batch := await self.batch(batch_id)):
            if end is not None and time.monotonic() >= end:
                raise batches.still_running(batch, timeout_s or 0)
            await asyncio.sleep(every_s)
        return batch

    async def batch_results(self, batch_id: str) -> AsyncIterator[ItemResult]:
        """Yield the results that a batch has now, in the order of its items. Each result has either an `answer` or an
        `error`.

        The results are read as they arrive, so that large batches need little memory.
        """
        response, _ = await self._ask(batches.results(batch_id), stream=True)
        try:
            requests.require_success(response)
            lines = batches.ResultLines()
            async for part in response.aiter_bytes():
                for result in lines.feed(part):
                    yield result
            for result in lines.feed(b"\n"):
                yield result
        except httpx.HTTPError as error:
            raise self._connection.no_answer(error) from None
        finally:
            await response.aclose()

    async def cancel_batch(self, batch_id: str) -> BatchOut:
        """Cancel a batch. The results that it already has are kept."""
        return await self.send(batches.cancel(batch_id))

    async def delete_batch(self, batch_id: str) -> None:
        """Delete a batch with its results. A batch that has not ended is cancelled first."""
        await self.send(batches.delete(batch_id))

    async def batches(self, *, limit: int = 20, cursor: str | None = None) -> BatchesOut:
        """Return a page of the batches of this API key, the newest first. `next_cursor` is the next page's cursor."""
        return await self.send(batches.page(limit, cursor))

    async def all_batches(self) -> AsyncIterator[BatchOut]:
        """Yield all batches of this API key, the newest first. Pages are requested as they are needed."""
        async for page in _pages(partial(self.batches, limit=100)):
            for batch in page.batches:
                yield batch

    async def add_channel(
        self,
        exports: Iterable[ExportLike],
        *,
        name: str | None = None,
        niche: str | None = None,
        columns: Mapping[str, str] | None = None,
    ) -> ChannelImportOut:
        """Start the import of a channel, see `Client.add_channel`. Files are read in a thread."""
        return await self.send(await asyncio.to_thread(channels.add, exports, name, niche, columns))

    async def channel_import(self, import_id: str) -> ChannelImportOut:
        """Return the progress of an import, and what the lab has learnt from its exports."""
        return await self.send(channels.show(import_id))

    async def wait_for_channel(
        self, import_id: str, *, every_s: float = 2.0, timeout_s: float | None = None
    ) -> ChannelImportOut:
        """Ask for the state of an import every `every_s` seconds until the import has ended. Return the last state, see
        `Client.wait_for_channel`.
        """
        end = None if timeout_s is None else time.monotonic() + timeout_s
        while not channels.has_ended(channel := await self.channel_import(import_id)):
            if end is not None and time.monotonic() >= end:
                raise channels.still_running(channel, timeout_s or 0)
            await asyncio.sleep(every_s)
        return channel

    async def channels(self) -> list[KnownChannelOut]:
        """Return the channels that were added to the lab, and the state of each channel's adapter."""
        return (await self.send(channels.added())).channels

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
        async for page in _pages(partial(self.experiments, channel_id, limit=100)):
            for experiment in page.experiments:
                yield experiment

    async def similar(
        self,
        *,
        video_id: str | None = None,
        picture: PictureLike | None = None,
        text: str | None = None,
        vector: Sequence[float] | None = None,
        **options: str | float | date | None,
    ) -> SimilarOut:
        """Find similar thumbnails, see `Client.similar`. Files are read in a thread."""
        call = await asyncio.to_thread(looking.similar, video_id, picture, text, vector, **options)
        return await self.send(call)

    async def video(self, video_id: str) -> VideoOut:
        """Return the lab's data about a video: facts, views over time, thumbnails, sub-scores and neighbours."""
        return await self.send(looking.video(video_id))

    async def library_clusters(self, niche: str) -> LibraryClustersOut:
        """Return the groups of similar thumbnails on the served map of a niche, or of all niches (`all`)."""
        return await self.send(looking.library_clusters(niche))

    async def health(self) -> HealthOut:
        """Return the state of every component of the service. A service that is not ready also answers."""
        return await self.send(requests.health())

    async def ready(self) -> HealthOut:
        """Return the state of the service if it can score. Otherwise, raise `UnavailableError` with the
        reason.
        """
        return await self.send(requests.ready())

    async def lab(self) -> LabOut:
        """Return the state of the lab's libraries and of its model, such as their sizes and the model's skill."""
        return await self.send(requests.lab())

    async def send(self, call: Call[T]) -> T:
        """Send a request and return its answer. If the service is busy, the request is sent again."""
        return call.read(*await self._ask(call))

    async def _ask(self, call: Call[Any], stream: bool = False) -> tuple[httpx.Response, bool]:
        """Send a request. If the service is busy, the request is sent again.

        Return the response, and whether the connection broke in an earlier attempt. With `stream`, the body of a
        successful answer is not read yet.
        """
        retried, waited, lost = 0, 0.0, False
        while True:
            try:
                request = self._http.build_request(call.method, call.path, **call.content)
                response = await self._http.send(request, stream=stream)
                if not response.is_success:
                    await response.aread()
            except BROKEN as error:
                lost = True
                wait = self._patience.wait(HTTPStatus.SERVICE_UNAVAILABLE, None, retried, waited)
                if wait is None:
                    raise self._connection.no_answer(error) from None
            except httpx.HTTPError as error:
                raise self._connection.no_answer(error) from None
            else:
                wait = self._patience.wait(response.status_code, response.headers.get("Retry-After"), retried, waited)
                if wait is None:
                    return response, lost
            await asyncio.sleep(wait)
            retried, waited = retried + 1, waited + wait


async def _pages(ask: Callable[..., Awaitable[P]]) -> AsyncIterator[P]:
    """Yield the pages of a list. Each page is requested when the caller needs it. `ask` returns the page that begins at
    its argument `cursor`.
    """
    cursor: str | None = None
    while True:
        page = await ask(cursor=cursor)
        yield page
        cursor = page.next_cursor
        if cursor is None:
            return
