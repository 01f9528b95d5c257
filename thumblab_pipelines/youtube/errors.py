"""What can go wrong between the lab and YouTube, told apart by what helps: waiting, tomorrow, another key, or nothing."""

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import quote

from thumblab_core.errors import LabError


class Trouble(StrEnum):
    """Kinds of trouble. Waiting a little helps `RATE`, `SERVER` and `TIMEOUT`; for `DAILY_QUOTA` only the reset does."""

    DAILY_QUOTA = "daily quota"
    RATE = "rate"
    KEY = "key"
    NOT_FOUND = "not found"
    SERVER = "server"
    TIMEOUT = "timeout"
    REQUEST = "request"


PASSING = frozenset({Trouble.RATE, Trouble.SERVER, Trouble.TIMEOUT})

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
    """An error answer of the API: its HTTP status, the API's own word for why, and its message, without any key."""

    trouble: Trouble
    status: int
    reason: str
    message: str


class YouTubeError(LabError):
    """YouTube refused a call or could not be reached; `reason` is its own word for why, such as `playlistNotFound`."""

    def __init__(self, message: str, trouble: Trouble, reason: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.trouble = trouble
        self.reason = reason
        self.retry_after_s = retry_after_s
        self.transient = trouble in PASSING


def redact(text: str, secret: str) -> str:
    """The text without the key, however it was written into a URL."""
    for written in {secret, quote(secret, safe="")}:
        text = text.replace(written, "[key]")
    return text


def classify(status: int, content: bytes, secret: str) -> Refusal:
    """What an error answer means. Its body decides, its HTTP status where the body says nothing that is known.

    `str(HttpError)` is never used: it holds the URL of the call.
    """
    reasons, message, limits = _read(content)
    daily_limit = any("perday" in limit.lower() or limit.startswith("1/d") for limit in limits)
    reason = reasons[0] if reasons else ""
    found = set(reasons)
    if found & _DAILY or (daily_limit and (status == 429 or found & _RATE)):
        trouble = Trouble.DAILY_QUOTA
    elif found & _RATE or status == 429:
        trouble = Trouble.RATE
    elif (found & _KEY and status < 500) or status == 401:
        trouble = Trouble.KEY
    elif found & _GONE or (status in (404, 410) and found):
        trouble = Trouble.NOT_FOUND
    elif status >= 500 or found & _SERVER:
        trouble = Trouble.SERVER
    elif status == 408:
        trouble = Trouble.TIMEOUT
    else:
        trouble = Trouble.REQUEST
    return Refusal(trouble, status, redact(reason, secret), redact(message, secret)[:200])


def explain(refusal: Refusal, tries: int) -> str:
    """One sentence for a person, and what to do."""
    said = " ".join(str(part) for part in (refusal.status, refusal.reason) if part)
    said += f": {refusal.message}" if refusal.message else ""
    match refusal.trouble:
        case Trouble.KEY:
            return (
                f"YouTube refused the API key ({said}); check THUMBLAB_YOUTUBE_API_KEY, its restrictions, and that the "
                "YouTube Data API v3 is enabled for its project"
            )
        case Trouble.RATE:
            return f"YouTube asks the lab to slow down ({said}), also at try {tries}; run again in a few minutes"
        case Trouble.SERVER:
            return f"YouTube has trouble of its own ({said}), also at try {tries}; run again later"
        case Trouble.TIMEOUT:
            return f"YouTube took too long ({said}), also at try {tries}; run again later"
        case Trouble.NOT_FOUND:
            return f"YouTube has no such thing any more ({said})"
        case Trouble.DAILY_QUOTA:
            return f"YouTube's quota of the day is spent ({said})"
        case Trouble.REQUEST if not refusal.reason and not refusal.message:
            return f"what answered ({said}) does not speak YouTube's API; check THUMBLAB_YOUTUBE_ENDPOINT"
        case Trouble.REQUEST:
            return f"YouTube refused a call ({said})"


def _read(content: bytes) -> tuple[list[str], str, list[str]]:
    """Reasons, message and the names and units of quota limits, of whatever form of error body this is."""
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
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
