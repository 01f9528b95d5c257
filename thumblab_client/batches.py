"""The requests of `/v1/batches` as values: store a batch, follow it, read its results, cancel, delete and list batches."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx

from thumblab_client.decoding import decode
from thumblab_client.errors import ThumblabError, UnexpectedAnswerError
from thumblab_client.models.batches import BatchesOut, BatchOut, ItemResult
from thumblab_client.pictures import PictureLike
from thumblab_client.requests import Call, known, scoring_request

_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")


@dataclass(frozen=True)
class Item:
    """A scoring request of a batch. `id` is your name for it, unique in the batch.

    `titles` is one title or several. `categories` is one niche or several; the service's default is tech.
    """

    id: str
    titles: str | Sequence[str]
    pictures: Sequence[PictureLike]
    categories: str | Sequence[str] | None = None
    channel_id: str | None = None


class _LinesCall(Call[list[ItemResult]]):
    """A request whose answer is a line of JSON for each item."""

    def decoded(self, response: httpx.Response) -> list[ItemResult]:
        return list(_results(response))


class _EmptyCall(Call[None]):
    """A request whose answer has no body."""

    def decoded(self, response: httpx.Response) -> None:
        if response.content:
            raise UnexpectedAnswerError("the answer has a body, which is not expected")


def store(
    items: Iterable[Item],
    deadline_s: int | None = None,
    webhook: str | None = None,
    idempotency_key: str | None = None,
) -> Call[BatchOut]:
    """Return the request that stores a batch. Raises `PictureError` if a picture cannot be read.

    Without an `idempotency_key` the request gets a random one. So it is stored once, even if it is sent again because a
    connection broke.
    """
    sent = [
        {"id": item.id, **scoring_request(item.titles, item.pictures, item.categories, item.channel_id)}
        for item in items
    ]
    body = {"items": sent, **known(deadline_s=deadline_s, webhook=webhook)}
    headers = {"Idempotency-Key": idempotency_key or str(uuid4())}
    return Call("POST", "/v1/batches", BatchOut, {"json": body, "headers": headers})


def show(batch_id: str) -> Call[BatchOut]:
    """Return the request for the state of a batch."""
    return Call("GET", _path(batch_id), BatchOut)


def results(batch_id: str) -> Call[list[ItemResult]]:
    """Return the request for the results of a batch so far."""
    return _LinesCall("GET", f"{_path(batch_id)}/results", list)


def cancel(batch_id: str) -> Call[BatchOut]:
    """Return the request that cancels a batch."""
    return Call("POST", f"{_path(batch_id)}/cancel", BatchOut)


def delete(batch_id: str) -> Call[None]:
    """Return the request that deletes a batch with its results."""
    return _EmptyCall("DELETE", _path(batch_id), type(None))


def page(limit: int = 20, cursor: str | None = None) -> Call[BatchesOut]:
    """Return the request for a page of the batches of this API key, the newest first."""
    return Call("GET", "/v1/batches", BatchesOut, {"params": known(limit=limit, cursor=cursor)})


def has_ended(batch: BatchOut) -> bool:
    """Return whether nothing of the batch is scored any more."""
    return batch.finished_at is not None


def still_running(batch: BatchOut, seconds: float) -> "StillRunningError":
    """Return the error for a batch that has not ended in time."""
    return StillRunningError(f"the batch {batch.id} has {batch.done} of {batch.items} results after {seconds:g} s")


class StillRunningError(ThumblabError, TimeoutError):
    """A batch has not ended in the time for which the program wanted to wait. The batch goes on."""


def _path(batch_id: str) -> str:
    if not _ID.fullmatch(batch_id):
        raise ThumblabError(f"{batch_id!r} is no id of a batch; use the `id` of the answer that stored the batch")
    return f"/v1/batches/{batch_id}"


def _results(response: httpx.Response) -> Iterator[ItemResult]:
    # `splitlines` would also split at characters that are no line break in JSON lines, such as U+2028.
    for number, line in enumerate(response.content.split(b"\n"), 1):
        if not line:
            continue
        try:
            document: Any = json.loads(line)
        except ValueError:
            raise UnexpectedAnswerError(f"line {number} of the results is not JSON") from None
        yield decode(ItemResult, document)
