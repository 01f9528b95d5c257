"""The client for programs without asyncio."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
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


class Client:
    """A client of the scoring service. Use it in a `with` statement, or call `close`. Threads may share it.

    `url` and `key` default to the variables THUMBLAB_SERVING_URL and THUMBLAB_API_KEY. An answer may take `timeout`
    seconds. `patience` says how often and how long the client waits for a busy service.

    Every method raises a `ProblemError` if the service refuses the request, and `NoAnswerError` if there is no answer.
    Every method raises `UnexpectedAnswerError` if another program answered in place of the service.
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

        A picture is a `Picture`, a path, or a URL of an image host that the service allows. If the lab has an adapter
        of the channel `channel_id`, the answer is adapted to the channel. Raises `PictureError` if a file cannot be
        read.
        """
        return self.send(requests.score(title, pictures, category, channel_id))

    def packages(
        self,
        titles: Sequence[str],
        pictures: Iterable[PictureLike],
        *,
        categories: str | Sequence[str] | None = None,
        channel_id: str | None = None,
    ) -> ScoreAnswer:
        """Rank all packages of a title and a picture, for up to 10 titles. The field `packages` of the answer has the
        result of each package.

        A `Picture` with a `title` of its own is combined only with this title. If there are several `categories`,
        `other_niches` of the answer has the answers for the second and all later niches.
        """
        return self.send(requests.score(list(titles), pictures, categories, channel_id))

    def store_batch(
        self,
        items: Iterable[Item],
        *,
        deadline_s: int | None = None,
        webhook: str | None = None,
        idempotency_key: str | None = None,
    ) -> BatchOut:
        """Store up to 1,000 scoring requests, which the service answers when it has time.

        If the same items are sent again with the same `idempotency_key`, they are not stored again. Raises
        `PictureError` if a file cannot be read.
        """
        return self.send(batches.store(items, deadline_s, webhook, idempotency_key))

    def batch(self, batch_id: str) -> BatchOut:
        """Return the state and the progress of a batch."""
        return self.send(batches.show(batch_id))

    def wait_for_batch(self, batch_id: str, *, every_s: float = 2.0, timeout_s: float | None = None) -> BatchOut:
        """Ask for the state of a batch every `every_s` seconds until the batch has ended, and return the batch.

        Raises `StillRunningError` after `timeout_s` seconds. The service then still works on the batch.
        """
        end = None if timeout_s is None else time.monotonic() + timeout_s
        while not batches.has_ended(batch := self.batch(batch_id)):
            if end is not None and time.monotonic() >= end:
                raise batches.still_running(batch, timeout_s or 0)
            time.sleep(every_s)
        return batch

    def batch_results(self, batch_id: str) -> Iterator[ItemResult]:
        """Yield the results that a batch has now, in the order of its items. Each result has either an `answer` or an
        `error`.

        The results are read as they arrive, so that large batches need little memory.
        """
        response, _ = self._ask(batches.results(batch_id), stream=True)
        try:
            requests.require_success(response)
            lines = batches.ResultLines()
            for part in response.iter_bytes():
                for result in lines.feed(part):
                    yield result
            for result in lines.feed(b"\n"):
                yield result
        except httpx.HTTPError as error:
            raise self._connection.no_answer(error) from None
        finally:
            response.close()

    def cancel_batch(self, batch_id: str) -> BatchOut:
        """Cancel a batch. The results that it already has are kept."""
        return self.send(batches.cancel(batch_id))

    def delete_batch(self, batch_id: str) -> None:
        """Delete a batch with its results. A batch that has not ended is cancelled first."""
        self.send(batches.delete(batch_id))

    def batches(self, *, limit: int = 20, cursor: str | None = None) -> BatchesOut:
        """Return a page of the batches of this API key, the newest first. `next_cursor` is the next page's cursor."""
        return self.send(batches.page(limit, cursor))

    def all_batches(self) -> Iterator[BatchOut]:
        """Yield all batches of this API key, the newest first. Pages are requested as they are needed."""
        page = self.batches(limit=100)
        yield from page.batches
        while page.next_cursor is not None:
            page = self.batches(limit=100, cursor=page.next_cursor)
            yield from page.batches

    def add_channel(
        self,
        exports: Iterable[ExportLike],
        *,
        name: str | None = None,
        niche: str | None = None,
        columns: Mapping[str, str] | None = None,
    ) -> ChannelImportOut:
        """Start the import of a channel's exports from YouTube Studio, and return the state of the import.

        The lab learns what the channel's viewers watch, and adapts answers for the channel. An export is a .zip or .csv
        file: its path, or its name and its bytes. `niche` is needed for a channel that is new to the lab. `columns`
        maps the lab's name of a column to the name or the number of the column in the export, such as {"rate": "9"}.
        Raises `ExportError` if a file cannot be read.
        """
        return self.send(channels.add(exports, name, niche, columns))

    def channel_import(self, import_id: str) -> ChannelImportOut:
        """Return the progress of an import, and what the lab has learnt from its exports."""
        return self.send(channels.show(import_id))

    def wait_for_channel(
        self, import_id: str, *, every_s: float = 2.0, timeout_s: float | None = None
    ) -> ChannelImportOut:
        """Ask for the state of an import every `every_s` seconds until the state is `done` or `failed`. Return the
        import.

        If the import has failed, `reason` says why, and `needs` says what to send next time. Raises `StillRunningError`
        after `timeout_s` seconds. The service then still works on the import.
        """
        end = None if timeout_s is None else time.monotonic() + timeout_s
        while not channels.has_ended(channel := self.channel_import(import_id)):
            if end is not None and time.monotonic() >= end:
                raise channels.still_running(channel, timeout_s or 0)
            time.sleep(every_s)
        return channel

    def channels(self) -> list[KnownChannelOut]:
        """Return the channels that were added to the lab, and the state of each channel's adapter."""
        return (self.send(channels.added())).channels

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
        `winner` (the number of the winning variant, from 1). A second experiment with the same channel, video and first
        day replaces the first experiment.
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

    def similar(
        self,
        *,
        video_id: str | None = None,
        picture: PictureLike | None = None,
        text: str | None = None,
        vector: Sequence[float] | None = None,
        **options: str | float | date | None,
    ) -> SimilarOut:
        """Find thumbnails of the library that are similar to a video, a picture, a text or a vector. Give exactly one
        of these four.

        `options` may have `niche`, `published_after`, `published_before`, `min_outlier_multiple`, `k`, `offset`,
        `diversity`, `exclude_channel` and `text_by`, with the meaning that they have in `POST /v1/similar`. Raises
        `PictureError` if a file cannot be read.
        """
        return self.send(looking.similar(video_id, picture, text, vector, **options))

    def video(self, video_id: str) -> VideoOut:
        """Return the lab's data about a video: facts, views over time, thumbnails, sub-scores and neighbours."""
        return self.send(looking.video(video_id))

    def library_clusters(self, niche: str) -> LibraryClustersOut:
        """Return the groups of similar thumbnails on the served map of a niche, or of all niches (`all`)."""
        return self.send(looking.library_clusters(niche))

    def health(self) -> HealthOut:
        """Return the state of every component of the service. A service that is not ready also answers."""
        return self.send(requests.health())

    def ready(self) -> HealthOut:
        """Return the state of the service if it can score. Otherwise, raise `UnavailableError` with the
        reason.
        """
        return self.send(requests.ready())

    def lab(self) -> LabOut:
        """Return the state of the lab's libraries and of its model, such as their sizes and the model's skill."""
        return self.send(requests.lab())

    def send(self, call: Call[T]) -> T:
        """Send a request and return its answer. If the service is busy, the request is sent again."""
        return call.read(*self._ask(call))

    def _ask(self, call: Call[Any], stream: bool = False) -> tuple[httpx.Response, bool]:
        """Send a request. If the service is busy, the request is sent again.

        Return the response, and whether the connection broke in an earlier attempt. With `stream`, the body of a
        successful answer is not read yet.
        """
        retried, waited, lost = 0, 0.0, False
        while True:
            try:
                request = self._http.build_request(call.method, call.path, **call.content)
                response = self._http.send(request, stream=stream)
                if not response.is_success:
                    response.read()
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
            time.sleep(wait)
            retried, waited = retried + 1, waited + wait
