"""The requests and answers of `/v1/batches`."""

import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import AfterValidator, Field, Strict, WithJsonSchema, model_validator

from thumblab_serving.schemas.answer import ScoreAnswer
from thumblab_serving.schemas.item_id import ItemId
from thumblab_serving.schemas.request import MAX_URL, ScoreRequest
from thumblab_serving.schemas.strict import AS_WHOLE, StrictModel

MAX_ITEMS = 1_000
MAX_PICTURES = 4_000
"""Maximum number of pictures of all items of a batch together. With more pictures, the JSON text has too many fields.
"""

MAX_LISTED = 100
"""Maximum number of batches in a list."""

_WEEK_S = 7 * 24 * 3600


class BatchItem(ScoreRequest):
    """A request of `POST /v1/score`, with an id."""

    id: ItemId = Field(description="Your name for the item, unique in the batch.")


class BatchRequest(StrictModel):
    """Scoring requests that the service answers when it has time."""

    items: list[BatchItem] = Field(
        min_length=1,
        max_length=MAX_ITEMS,
        description=f"The requests. Together they have at most {MAX_PICTURES} thumbnails.",
    )
    deadline_s: Annotated[int, Strict(), Field(ge=1, le=_WEEK_S), AS_WHOLE] = Field(
        default=24 * 3600,
        description="Seconds from now after which no further item is scored. Earlier results are kept.",
    )
    webhook: Annotated[str, Field(max_length=MAX_URL, json_schema_extra={"pattern": "^https://"})] | None = Field(
        default=None,
        description=(
            "The https URL to which the service sends a signed POST request when the batch has ended. Its host must be "
            "a host that the service allows for webhooks (`THUMBLAB_SERVING_WEBHOOK_HOSTS`)."
        ),
    )

    @model_validator(mode="after")
    def _is_bounded(self) -> Self:
        if len({item.id for item in self.items}) != len(self.items):
            raise ValueError("two items have the same id")
        pictures = sum(len(item.thumbnails) for item in self.items)
        if pictures > MAX_PICTURES:
            raise ValueError(f"the items have {pictures} thumbnails; send at most {MAX_PICTURES} in a batch")
        return self


_CURSOR = r"([1-9][0-9]{15})\.([0-9a-f]{32})"
"""Regular expression of a cursor: when a batch was stored, in microseconds since 1970, and its id."""


class Place(NamedTuple):
    """The place of a batch in the list of all batches."""

    created_at: datetime
    batch_id: str

    @property
    def cursor(self) -> str:
        return f"{round(self.created_at.timestamp() * 1e6)}.{self.batch_id}"

    @classmethod
    def of(cls, cursor: str) -> Self:
        """Return the place to which a cursor points. Raises `ValueError` if the text is not a cursor."""
        match = re.fullmatch(_CURSOR, cursor)
        if match is None:
            raise ValueError("give the next_cursor of the previous answer, or leave the cursor out")
        return cls(datetime.fromtimestamp(0, UTC) + timedelta(microseconds=int(match[1])), match[2])


def _cursor(cursor: str) -> str:
    Place.of(cursor)
    return cursor


Cursor = Annotated[
    str, AfterValidator(_cursor), WithJsonSchema({"type": "string", "pattern": f"^{_CURSOR}$", "maxLength": 49})
]


class BatchState(StrEnum):
    """The state of a batch. The last three states are final."""

    WAITING = "waiting"
    RUNNING = "running"
    CANCELLING = "cancelling"
    DONE = "done"
    CANCELLED = "cancelled"
    DEADLINE_PASSED = "deadline_passed"


class WebhookOut(StrictModel):
    """The delivery of the webhook of a batch."""

    host: str
    state: Literal["waiting", "delivered", "failed"] = Field(
        description="The state of the delivery. After `failed`, there is no further attempt."
    )
    attempts: int = Field(ge=0)
    reason: str | None = Field(description="Why the last attempt to deliver the webhook failed.")


class BatchOut(StrictModel):
    """A batch and its progress."""

    id: str
    state: BatchState
    items: int = Field(ge=1)
    done: int = Field(ge=0, description="The number of items that have a result. An error counts as a result.")
    failed: int = Field(
        ge=0, description="How many items have no thumbnail that could be scored. `done` includes these items."
    )
    created_at: datetime
    deadline_at: datetime
    finished_at: datetime | None
    expires_at: datetime | None = Field(
        description=(
            "When the results are deleted: `THUMBLAB_SERVING_BATCH_KEPT_H` hours after the end of the batch. Null "
            "until the batch has ended."
        )
    )
    results: str = Field(description="The path of the results. There are results for the items that are done.")
    webhook: WebhookOut | None


class BatchesOut(StrictModel):
    """A page of the batches of your API key, the newest first."""

    batches: list[BatchOut]
    next_cursor: str | None = Field(
        description="Send this text as `cursor` to get the next page. Null on the last page."
    )


class BatchesQuery(StrictModel):
    """The query of `GET /v1/batches`."""

    limit: int = Field(default=20, ge=1, le=MAX_LISTED, description="The maximum number of batches in the answer.")
    cursor: Cursor | None = Field(default=None, description="The `next_cursor` of the previous answer.")


class ItemResult(StrictModel):
    """The result of an item: a line of the results. Exactly one of `answer` and `error` is not null."""

    item: int = Field(ge=1, description="The place of the item in the batch, counted from 1.")
    id: str
    answer: ScoreAnswer | None = None
    error: str | None = None
    title: str | None = Field(
        default=None, description="The first title of an item that has an `error`. Null if the title is not known."
    )


class ResultsQuery(StrictModel):
    """The query of a request for results."""

    format: Literal["jsonl", "csv"] = Field(
        default="jsonl",
        description=(
            "`jsonl`: an `ItemResult` in each line. `csv`: a row for each thumbnail, and for each package of a title and a "
            "thumbnail."
        ),
    )
