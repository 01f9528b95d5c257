"""Classify the errors of calls to YouTube. The kind of an error says whether and when a new try can succeed.

Depending on the kind, a new try can succeed after a short wait, on the next day, with another API key, or never.
"""

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import quote

from thumblab_core.errors import LabError


class ErrorKind(StrEnum):
    """Kinds of error. After an error of the kind `RATE`, `SERVER` or `TIMEOUT`, the same call may succeed after a short
    wait.

    After an error of the kind `DAILY_QUOTA`, calls of the same quota bucket fail until YouTube resets the bucket.
    """

    DAILY_QUOTA = "daily quota"
    RATE = "rate"
    KEY = "key"
    NOT_FOUND = "not found"
    SERVER = "server"
    TIMEOUT = "timeout"
    REQUEST = "request"


_TRANSIENT = frozenset({ErrorKind.RATE, ErrorKind.SERVER, ErrorKind.TIMEOUT})

# Each set belongs to one `ErrorKind`. The set contains the reason codes that Google sends in the JSON of errors of this
# kind.
_DAILY = {"quotaExceeded", "dailyLimitExceeded", "dailyLimitExceededUnreg"}
_RATE = {"rateLimitExceeded", "userRateLimitExceeded", "RATE_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED"}
_KEY = {
    "keyInvalid",
    "keyExpired",
    "API_KEY_INVALID",
    "API_KEY_SERVICE_BLOCKED",
    "API_KEY_HTTP_REFERRER_BLOCKED",
    "API_KEY_IP_ADDRESS_BLOCKED",
    "CONSUMER_INVALID",
    "CONSUMER_SUSPENDED",
    "SERVICE_DISABLED",
    "accessNotConfigured",
    "ipRefererBlocked",
}
_GONE = {
    "notFound",
    "videoNotFound",
    "channelNotFound",
    "playlistNotFound",
    "videoChartNotFound",
    "channelClosed",
    "channelSuspended",
    "playlistItemsNotAccessible",
}
_SERVER = {"backendError", "internalError", "processingFailure"}


@dataclass(frozen=True)
class Refusal:
    """An error answer of the API: its HTTP status, reason and message. The API key is removed from these texts."""

    kind: ErrorKind
    status: int
    reason: str
    message: str


class YouTubeError(LabError):
    """The error of a call to YouTube. YouTube refused the call, or the call did not reach YouTube.

    `reason`: the API's code for the refusal, such as `playlistNotFound`, or empty if the API gave no code. `transient`:
    whether the same call may succeed after a short wait.
    """

    def __init__(self, message: str, kind: ErrorKind, reason: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.reason = reason
        self.retry_after_s = retry_after_s
        self.transient = kind in _TRANSIENT


def redact(text: str, secret: str) -> str:
    """Return the text with the API key `secret` replaced by `[key]`. The percent-encoded form of the key, which URLs
    contain, is replaced too.
    """
    for spelling in {secret, quote(secret, safe="")}:
        text = text.replace(spelling, "[key]")
    return text


def classify(status: int, content: bytes, secret: str) -> Refusal:
    """Classify an error answer by its body. If the body has no known reason, classify the answer by its HTTP status.

    The text that Google's client makes, `str(HttpError)`, is not used, because it contains the URL of the call.
    """
    reasons, message, limits = _read(content)
    daily_limit = any("perday" in limit.lower() or limit.startswith("1/d") for limit in limits)
    reason = reasons[0] if reasons else ""
    known = set(reasons)
    if known & _DAILY or (daily_limit and (status == 429 or known & _RATE)):
        kind = ErrorKind.DAILY_QUOTA
    elif known & _RATE or status == 429:
        kind = ErrorKind.RATE
    elif (known & _KEY and status < 500) or status == 401:
        kind = ErrorKind.KEY
    elif known & _GONE or (status in (404, 410) and known):
        kind = ErrorKind.NOT_FOUND
    elif status >= 500 or known & _SERVER:
        kind = ErrorKind.SERVER
    elif status == 408:
        kind = ErrorKind.TIMEOUT
    else:
        kind = ErrorKind.REQUEST
    return Refusal(kind, status, redact(reason, secret), redact(message, secret)[:200])


def explain(refusal: Refusal, tries: int) -> str:
    """Return a sentence that explains to the user what happened and what to do. `tries`: number of times that the call
    was made.
    """
    details = " ".join(str(part) for part in (refusal.status, refusal.reason) if part)
    details += f": {refusal.message}" if refusal.message else ""
    match refusal.kind:
        case ErrorKind.KEY:
            return (
                f"YouTube refused the API key ({details}); check THUMBLAB_YOUTUBE_API_KEY, its restrictions, and that the "
                "YouTube Data API v3 is enabled for its project"
            )
        case ErrorKind.RATE:
            return f"YouTube asks the lab to slow down ({details}) and {tries} tries failed; run again in a few minutes"
        case ErrorKind.SERVER:
            return f"YouTube has a problem of its own ({details}) and {tries} tries failed; run again later"
        case ErrorKind.TIMEOUT:
            return f"YouTube took too long ({details}) and {tries} tries failed; run again later"
        case ErrorKind.NOT_FOUND:
            return f"YouTube no longer has the requested item ({details})"
        case ErrorKind.DAILY_QUOTA:
            return f"YouTube's quota for today is spent ({details})"
        case ErrorKind.REQUEST if not refusal.reason and not refusal.message:
            return f"the server ({details}) does not answer like YouTube's API; check THUMBLAB_YOUTUBE_ENDPOINT"
        case ErrorKind.REQUEST:
            return f"YouTube refused a call ({details})"


def _read(content: bytes) -> tuple[list[str], str, list[str]]:
    """Return the reasons, the message, and the names and units of the quota limits in the body of an error.

    Whatever form the body has, this function raises no error.
    """
    try:
        error = json.loads(content)["error"]
    except (ValueError, KeyError, TypeError):
        return [], "", []
    if not isinstance(error, dict):
        return [], str(error), []
    reasons = [str(entry["reason"]) for entry in _dicts(error.get("errors")) if "reason" in entry]
    limits: list[str] = []
    for detail in _dicts(error.get("details")):
        if "reason" in detail:
            reasons.append(str(detail["reason"]))
        metadata = detail.get("metadata")
        if isinstance(metadata, dict):
            limits += [str(metadata[name]) for name in ("quota_limit", "quota_unit") if name in metadata]
    if error.get("status") == "RESOURCE_EXHAUSTED":
        reasons.append("RESOURCE_EXHAUSTED")
    return reasons, str(error.get("message", "")), limits


def _dicts(value: Any) -> list[dict[str, Any]]:
    """Return the dictionaries in a list, and an empty list for any other value."""
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
