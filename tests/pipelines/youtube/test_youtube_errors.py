"""Tests that errors are classified by the body of Google's response. These tests use no network."""

import json
from pathlib import Path
from typing import Any

import pytest

from thumblab_pipelines.youtube.errors import ErrorKind, YouTubeError, classify, explain, redact

KEY = "AIzaSecretOfTheTests"


def body(code: int, reason: str | None = None, message: str = "m", **more: Any) -> bytes:
    entries = [{"message": message, "domain": "d", "reason": reason}] if reason else []
    return json.dumps({"error": {"code": code, "message": message, "errors": entries, **more}}).encode()


def info(reason: str, **metadata: str) -> dict[str, Any]:
    return {"details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "metadata": metadata}]}


PER_DAY = info("RATE_LIMIT_EXCEEDED", quota_limit="defaultPerDayPerProject", quota_unit="1/d/{project}")
PER_MINUTE = info("RATE_LIMIT_EXCEEDED", quota_limit="defaultPerMinutePerProject", quota_unit="1/min/{project}")


@pytest.mark.parametrize(
    ("status", "content", "trouble"),
    [
        (403, body(403, "quotaExceeded"), ErrorKind.DAILY_QUOTA),
        (403, body(403, "dailyLimitExceeded"), ErrorKind.DAILY_QUOTA),
        (429, body(429, "rateLimitExceeded", status="RESOURCE_EXHAUSTED", **PER_DAY), ErrorKind.DAILY_QUOTA),
        (403, body(403, "rateLimitExceeded", **PER_DAY), ErrorKind.DAILY_QUOTA),
        (429, body(429, "rateLimitExceeded", status="RESOURCE_EXHAUSTED", **PER_MINUTE), ErrorKind.RATE),
        (403, body(403, "rateLimitExceeded"), ErrorKind.RATE),
        (403, body(403, "userRateLimitExceeded"), ErrorKind.RATE),
        (429, b"Too Many Requests", ErrorKind.RATE),
        (400, body(400, "keyInvalid"), ErrorKind.KEY),
        (400, body(400, "badRequest", status="INVALID_ARGUMENT", **info("API_KEY_INVALID")), ErrorKind.KEY),
        (403, body(403, "accessNotConfigured"), ErrorKind.KEY),
        (403, body(403, "forbidden", status="PERMISSION_DENIED", **info("SERVICE_DISABLED")), ErrorKind.KEY),
        (403, body(403, "ipRefererBlocked"), ErrorKind.KEY),
        (401, body(401, "authError"), ErrorKind.KEY),
        (404, body(404, "playlistNotFound"), ErrorKind.NOT_FOUND),
        (400, body(400, "videoChartNotFound"), ErrorKind.NOT_FOUND),
        (404, body(404, "notFound"), ErrorKind.NOT_FOUND),
        (403, body(403, "playlistItemsNotAccessible"), ErrorKind.NOT_FOUND),
        (500, body(500, "backendError"), ErrorKind.SERVER),
        (503, b"<html>Service Unavailable</html>", ErrorKind.SERVER),
        (502, b"", ErrorKind.SERVER),
        (408, b"", ErrorKind.TIMEOUT),
        (400, body(400, "invalidPageToken"), ErrorKind.REQUEST),
        (403, body(403, "forbidden"), ErrorKind.REQUEST),
        (404, b"<html>Not Found</html>", ErrorKind.REQUEST),
    ],
)
def test_error_is_classified(status: int, content: bytes, trouble: ErrorKind) -> None:
    assert classify(status, content, KEY).kind is trouble


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"\xff\xfe",
        b'{"error": null}',
        b'{"error": "error message"}',
        b'{"error": {"errors": "x", "details": {"a": 1}}}',
        b'{"error": {"errors": [null, 1, {"reason": 7}], "details": [{"metadata": []}]}}',
        b'{"error": {"errors": [{"reason": {"deep": []}}], "message": {"a": 1}}}',
    ],
)
def test_unusual_bodies_are_classified(content: bytes) -> None:
    assert classify(500, content, KEY).kind is ErrorKind.SERVER
    assert explain(classify(400, content, KEY), 5)


def test_only_transient_errors_are_retried() -> None:
    transient = {trouble for trouble in ErrorKind if YouTubeError("x", trouble).transient}
    assert transient == {ErrorKind.RATE, ErrorKind.SERVER, ErrorKind.TIMEOUT}


def test_each_kind_of_error_is_explained_with_what_to_do() -> None:
    sentences = {trouble: explain(classify(403, body(403, reason), KEY), 5) for trouble, reason in KINDS.items()}
    assert "THUMBLAB_YOUTUBE_API_KEY" in sentences[ErrorKind.KEY]
    assert "slow down" in sentences[ErrorKind.RATE]
    assert "run again in a few minutes" in sentences[ErrorKind.RATE]
    assert "run again later" in explain(classify(500, body(500, "backendError"), KEY), 5)
    assert "does not answer like YouTube's API" in explain(classify(404, b"<html>", KEY), 5)
    assert len(set(sentences.values())) == len(KINDS)


KINDS = {
    ErrorKind.KEY: "keyInvalid",
    ErrorKind.RATE: "rateLimitExceeded",
    ErrorKind.NOT_FOUND: "playlistNotFound",
    ErrorKind.DAILY_QUOTA: "quotaExceeded",
    ErrorKind.REQUEST: "invalidPageToken",
}


def test_key_is_removed_from_texts_also_if_percent_encoded() -> None:
    key = "a+b/c=d e"
    assert redact(f"x {key} y a%2Bb%2Fc%3Dd%20e z", key) == "x [key] y [key] z"
    refusal = classify(403, body(403, KEY, f"key {KEY} is blocked"), KEY)
    assert KEY not in explain(refusal, 5)
    assert "[key]" in explain(refusal, 5)


@pytest.mark.parametrize(
    ("name", "status", "trouble", "says"),
    [
        ("error_response.json", 400, ErrorKind.KEY, "keyInvalid"),
        ("error_response_simple.json", 400, ErrorKind.REQUEST, "error message"),
        ("apidata/error_permission_resp.json", 403, ErrorKind.REQUEST, "does not have permission"),
    ],
)
def test_recorded_errors_are_classified(
    shared_data: Path, name: str, status: int, trouble: ErrorKind, says: str
) -> None:
    refusal = classify(status, (shared_data / "api_responses" / name).read_bytes(), KEY)
    assert refusal.kind is trouble
    assert says in explain(refusal, 5)
