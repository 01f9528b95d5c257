"""What comes in and what goes out: an HTTP request and the reply to it, before any socket."""

import json
from dataclasses import dataclass, field
from email.message import Message
from enum import Enum

from demo.errors import ApiError, Json

JSON = "application/json; charset=UTF-8"
JPEG = "image/jpeg"


class Delivery(Enum):
    """How much of a reply reaches the client before the connection goes."""

    WHOLE = "whole"
    HALF = "half"
    NOTHING = "nothing"


@dataclass(frozen=True)
class Request:
    """`params` is the query, with a form that came in place of one, as `parse_qs` reads it; `headers` ignore case."""

    method: str
    path: str
    params: dict[str, list[str]] = field(default_factory=dict)
    headers: Message = field(default_factory=Message)
    body: bytes = b""

    @property
    def key(self) -> str:
        """The API key from the `X-Goog-Api-Key` header or the parameter `key`; empty for none."""
        return self.headers.get("X-Goog-Api-Key") or self.params.get("key", [""])[-1]


@dataclass(frozen=True)
class Reply:
    """An HTTP answer; its `Date` and `Content-Length` are the server's business."""

    status: int
    content_type: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    delivery: Delivery = Delivery.WHOLE


def json_reply(status: int, body: Json) -> Reply:
    return Reply(status, JSON, json.dumps(body, ensure_ascii=False).encode())


def error_reply(error: ApiError) -> Reply:
    headers = {} if error.retry_after is None else {"Retry-After": f"{error.retry_after:g}"}
    return Reply(error.status, JSON, json.dumps(error.body(), ensure_ascii=False).encode(), headers)
