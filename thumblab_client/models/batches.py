"""The requests and answers of `/v1/batches`.

This file is generated: change `thumblab_serving/schemas/batches.py`, then run
`python -m thumblab_serving.client_models`.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from thumblab_client.models.answer import ScoreAnswer


@dataclass(frozen=True, kw_only=True)
class WebhookOut:
    """The delivery of the webhook of a batch."""

    host: str
    state: Literal["waiting", "delivered", "failed"]
    """The state of the delivery. After `failed`, there is no further attempt."""

    attempts: int
    reason: str | None
    """Why the last attempt to deliver the webhook failed."""


@dataclass(frozen=True, kw_only=True)
class BatchOut:
    """A batch and its progress."""

    id: str
    state: Literal["waiting", "running", "cancelling", "done", "cancelled", "deadline_passed"]
    items: int
    done: int
    """The number of items that have a result. An error counts as a result."""

    failed: int
    """How many items have no thumbnail that could be scored. `done` includes these items."""

    created_at: datetime
    deadline_at: datetime
    finished_at: datetime | None
    expires_at: datetime | None
    """When the results are deleted: `THUMBLAB_SERVING_BATCH_KEPT_H` hours after the end of the batch. Null until the
    batch has ended.
    """

    results: str
    """The path of the results. There are results for the items that are done."""

    webhook: WebhookOut | None


@dataclass(frozen=True, kw_only=True)
class BatchesOut:
    """A page of the batches of your API key, the newest first."""

    batches: list[BatchOut]
    next_cursor: str | None
    """Send this text as `cursor` to get the next page. Null on the last page."""


@dataclass(frozen=True, kw_only=True)
class ItemResult:
    """The result of an item: a line of the results. Exactly one of `answer` and `error` is not null."""

    item: int
    """The place of the item in the batch, counted from 1."""

    id: str
    answer: ScoreAnswer | None = None
    error: str | None = None
    title: str | None = None
    """The first title of an item that has an `error`. Null if the title is not known."""
