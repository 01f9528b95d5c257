"""Tests of classifying errors by response bodies as Google sends them. These tests use no network."""

import json
from pathlib import Path
from typing import Any

import pytest

from thumblab_pipelines.youtube.errors import Trouble, YouTubeError, classify, explain, redact

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
        (403, body(403, "quotaExceeded"), Trouble.DAILY_QUOTA),
        (403, body(403, "dailyLimitExceeded"), Trouble.DAILY_QUOTA),
        (429, body(429, "rateLimitExceeded", status="RESOURCE_EXHAUSTED", **PER_DAY), Trouble.DAILY_QUOTA),
        (403, body(403, "rateLimitExceeded", **PER_DAY), Trouble.DAILY_QUOTA),
        (429, body(429, "rateLimitExceeded", status="RESOURCE_EXHAUSTED", **PER_MINUTE), Trouble.RATE),
        (403, body(403, "rateLimitExceeded"), Trouble.RATE),
        (403, body(403, "userRateLimitExceeded"), Trouble.RATE),
        (429, b"Too Many Requests", Trouble.RATE),
        (400, body(400, "keyInvalid"), Trouble.KEY),
        (400, body(400, "badRequest", status="INVALID_ARGUMENT", **info("API_KEY_INVALID")), Trouble.KEY),
        (403, body(403, "accessNotConfigured"), Trouble.KEY),
        (403, body(403, "forbidden", status="PERMISSION_DENIED", **info("SERVICE_DISABLED")), Trouble.KEY),
        (403, body(403, "ipRefererBlocked"), Trouble.KEY),
        (401, body(401, "authError"), Trouble.KEY),
        (404, body(404, "playlistNotFound"), Trouble.NOT_FOUND),
        (400, body(400, "videoChartNotFound"), Trouble.NOT_FOUND),
        (404, body(404, "notFound"), Trouble.NOT_FOUND),
        (403, body(403, "playlistItemsNotAccessible"), Trouble.NOT_FOUND),
        (500, body(500, "backendError"), Trouble.SERVER),
        (503, b"<html>Service Unavailable</html>", Trouble.SERVER),
        (502, b"", Trouble.SERVER),
        (408, b"", Trouble.TIMEOUT),
        (400, body(400, "invalidPageToken"), Trouble.REQUEST),
        (403, body(403, "forbidden"), Trouble.REQUEST),
        (404, b"<html>Not Found</html>", Trouble.REQUEST),
    ],
)
def test_error_is_classified(status: int, content: bytes, trouble: Trouble) -> None:
    assert classify(status, content, KEY).trouble is trouble


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
    assert classify(500, content, KEY).trouble is Trouble.SERVER
    assert explain(classify(400, content, KEY), 5)


def test_only_transient_errors_are_retried() -> None:
    transient = {trouble for trouble in Trouble if YouTubeError("x", trouble).transient}
    assert transient == {Trouble.RATE, Trouble.SERVER, Trouble.TIMEOUT}


def test_each_kind_of_error_is_explained_with_what_to_do() -> None:
    sentences = {trouble: explain(classify(403, body(403, reason), KEY), 5) for trouble, reason in KINDS.items()}
    assert "THUMBLAB_YOUTUBE_API_KEY" in sentences[Trouble.KEY]
    assert "slow down" in sentences[Trouble.RATE]
    assert "run again in a few minutes" in sentences[Trouble.RATE]
    assert "run again later" in explain(classify(500, body(500, "backendError"), KEY), 5)
    assert "does not speak YouTube's API" in explain(classify(404, b"<html>", KEY), 5)
    assert len(set(sentences.values())) == len(KINDS)


KINDS = {
    Trouble.KEY: "keyInvalid",
    Trouble.RATE: "rateLimitExceeded",
    Trouble.NOT_FOUND: "playlistNotFound",
    Trouble.DAILY_QUOTA: "quotaExceeded",
    Trouble.REQUEST: "invalidPageToken",
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
        ("error_response.json", 400, Trouble.KEY, "keyInvalid"),
        ("error_response_simple.json", 400, Trouble.REQUEST, "error message"),
        ("apidata/error_permission_resp.json", 403, Trouble.REQUEST, "does not have permission"),
    ],
)
def test_recorded_errors_are_classified(shared_data: Path, name: str, status: int, trouble: Trouble, says: str) -> None:
    refusal = classify(status, (shared_data / "api_responses" / name).read_bytes(), KEY)
    assert refusal.trouble is trouble
    assert says in explain(refusal, 5)
