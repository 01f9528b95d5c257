"""HTTP requests and replies as plain objects that do not depend on sockets."""

import json
from dataclasses import dataclass, field
from email.message import Message
from enum import Enum

from demo.errors import ApiError, Json

JSON = "application/json; charset=UTF-8"
JPEG = "image/jpeg"


class Delivery(Enum):
    """How much of a reply the server sends. With HALF or NOTHING, the server then closes the connection."""

    WHOLE = "whole"
    HALF = "half"
    NOTHING = "nothing"


@dataclass(frozen=True)
class Request:
    """An HTTP request.

    `params` contains the parameters in the format of `parse_qs`. The parameters come from the query of the URL. If the
    body contains a query too (see `do_POST` in `demo.server`), the parameters of the body are added. A parameter of the
    body replaces a parameter of the URL with the same name. The names of `headers` are case-insensitive.
    """

    method: str
    path: str
    params: dict[str, list[str]] = field(default_factory=dict)
    headers: Message = field(default_factory=Message)
    body: bytes = b""

    @property
    def key(self) -> str:
        """The API key from the header `X-Goog-Api-Key` or the parameter `key`.

        The key is an empty text if the request has none.
        """
        return self.headers.get("X-Goog-Api-Key") or self.params.get("key", [""])[-1]


@dataclass(frozen=True)
class Reply:
    """An HTTP answer, to which the server adds the headers `Date` and `Content-Length`."""

    status: int
    content_type: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    delivery: Delivery = Delivery.WHOLE


def json_reply(status: int, body: Json) -> Reply:
    """Return a reply with a JSON body."""
    return Reply(status, JSON, json.dumps(body, ensure_ascii=False).encode())


def error_reply(error: ApiError) -> Reply:
    """Return the reply that reports an error."""
    headers = {} if error.retry_after is None else {"Retry-After": f"{error.retry_after:g}"}
    return Reply(error.status, JSON, json.dumps(error.body(), ensure_ascii=False).encode(), headers)
