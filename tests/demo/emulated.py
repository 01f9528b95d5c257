"""Call the emulator in tests, with Google's own client or with plain HTTP."""

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError

from demo.emulator import Emulator


def client(emulator: Emulator, key: str = "any key") -> Any:
    return build(
        "youtube", "v3", developerKey=key, static_discovery=True, client_options={"api_endpoint": emulator.endpoint}
    )


def error(request: Any) -> tuple[HttpError, dict[str, Any]]:
    """Send the request, which must fail. Return the exception of Google's client, and the object `error` in the JSON
    answer.
    """
    with pytest.raises(HttpError) as caught:
        request.execute()
    body_error = json.loads(caught.value.content)["error"]
    assert body_error["code"] == caught.value.resp.status
    return caught.value, body_error


def refusal(request: Any) -> tuple[int, str]:
    body_error = error(request)[1]
    return body_error["code"], body_error["errors"][0]["reason"]


def send(
    emulator: Emulator, path: str, headers: dict[str, str] | None = None, method: str = "GET", body: str | None = None
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(urlsplit(emulator.endpoint).netloc, timeout=10)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def get(emulator: Emulator, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    return send(emulator, path, {name.replace("_", "-"): value for name, value in headers.items()})


def size_of(jpeg: bytes) -> tuple[int, int]:
    pixels = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    return pixels.shape[1], pixels.shape[0]


def walk(collection: Any, request: Any) -> list[dict[str, Any]]:
    items = []
    while request is not None:
        answer = request.execute()
        items += answer["items"]
        request = collection.list_next(request, answer)
    return items
