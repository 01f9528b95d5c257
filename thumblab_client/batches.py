"""Build the requests that store, show, cancel, delete and list batches, and the request that reads their results."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx

from thumblab_client.decoding import decode
from thumblab_client.errors import InvalidRequestError, StillRunningError, ThumblabError, UnexpectedAnswerError
from thumblab_client.models.batches import BatchesOut, BatchOut, ItemResult
from thumblab_client.pictures import PictureLike
from thumblab_client.requests import Call, known, scoring_request

_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")


@dataclass(frozen=True)
class Item:
    """A scoring request of a batch. `id` is a name that you choose. The name must be unique in the batch.

    `titles` is one title or several. `categories` is one niche or several; the service's default is tech.
    """

    id: str
    titles: str | Sequence[str]
    pictures: Sequence[PictureLike]
    categories: str | Sequence[str] | None = None
    channel_id: str | None = None


class _DeletionCall(Call[None]):
    """The request that deletes a batch. Its answer has no body."""

    def read(self, response: httpx.Response, repeated: bool = False) -> None:
        """Check the answer. If a repeated request finds no batch, no error is raised, because the first request has
        deleted the batch.
        """
        try:
            super().read(response, repeated)
        except InvalidRequestError as error:
            if not repeated or error.kind != "no-such-batch":
                raise

    def decoded(self, response: httpx.Response) -> None:
        if response.content:
            raise UnexpectedAnswerError("the answer to the deletion of a batch has a body, but it must be empty")


def store(
    items: Iterable[Item],
    deadline_s: int | None = None,
    webhook: str | None = None,
    idempotency_key: str | None = None,
) -> Call[BatchOut]:
    """Return the request that stores a batch. Raises `PictureError` if a picture cannot be read.

    Without an `idempotency_key`, the request gets a random key. So the batch is stored only once, even if the
    connection breaks and the request is sent again.
    """
    sent = [
        {"id": item.id, **scoring_request(item.titles, item.pictures, item.categories, item.channel_id)}
        for item in items
    ]
    if idempotency_key is not None and not (idempotency_key.isascii() and idempotency_key.isprintable()):
        raise ThumblabError(f"idempotency_key: {idempotency_key[:40]!a} is not printable ASCII; give another key")
    body = {"items": sent, **known(deadline_s=deadline_s, webhook=webhook)}
    headers = {"Idempotency-Key": idempotency_key or str(uuid4())}
    return Call("POST", "/v1/batches", BatchOut, {"json": body, "headers": headers})


def show(batch_id: str) -> Call[BatchOut]:
    """Return the request for the state of a batch."""
    return Call("GET", _path(batch_id), BatchOut)


def results(batch_id: str) -> Call[ItemResult]:
    """Return the request for the results that a batch has now. The answer has a line of JSON for each result, see
    `ResultLines`.
    """
    return Call("GET", f"{_path(batch_id)}/results", ItemResult)


def cancel(batch_id: str) -> Call[BatchOut]:
    """Return the request that cancels a batch."""
    return Call("POST", f"{_path(batch_id)}/cancel", BatchOut)


def delete(batch_id: str) -> Call[None]:
    """Return the request that deletes a batch with its results."""
    return _DeletionCall("DELETE", _path(batch_id), type(None))


def page(limit: int = 20, cursor: str | None = None) -> Call[BatchesOut]:
    """Return the request for a page of the batches of this API key, the newest first."""
    return Call("GET", "/v1/batches", BatchesOut, {"params": known(limit=limit, cursor=cursor)})


def has_ended(batch: BatchOut) -> bool:
    """Return whether the batch has ended. After its end, the service scores no further item of a batch."""
    return batch.finished_at is not None


def still_running(batch: BatchOut, seconds: float) -> StillRunningError:
    """Return the error for a batch that has not ended in time."""
    return StillRunningError(f"the batch {batch.id} has {batch.done} of {batch.items} results after {seconds:g} s")


def _path(batch_id: str) -> str:
    if not _ID.fullmatch(batch_id):
        raise ThumblabError(
            f"{batch_id!r} is not the id of a batch; use the `id` that the service gave when the batch was stored"
        )
    return f"/v1/batches/{batch_id}"


class ResultLines:
    """A reader of the results of a batch. It takes the parts of an answer as they arrive, and stores at most one
    incomplete line.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._number = 0

    def feed(self, part: bytes) -> Iterator[ItemResult]:
        """Read the next part of the answer, and yield the results whose lines are now complete.

        Raises `UnexpectedAnswerError` if a line is not a result.
        """
        # `splitlines` would also split at characters that do not end a line in JSON Lines, such as U+2028.
        *lines, self._rest = (self._rest + part).split(b"\n")
        for line in lines:
            self._number += 1
            if line:
                yield self._result(line)

    def _result(self, line: bytes) -> ItemResult:
        try:
            document: Any = json.loads(line)
        except ValueError:
            raise UnexpectedAnswerError(f"line {self._number} of the results is not JSON") from None
        return decode(ItemResult, document)
