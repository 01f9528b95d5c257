"""Faults that a test can inject: refusals, broken bodies and broken connections.

A fault either replaces the service's answer or alters it. A call costs no quota if the service never receives it, or if a
spent quota or a wrong key refuses it. Every other call costs quota.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from demo.errors import ApiError, Json, error_info, rate_details
from demo.messages import JPEG, JSON, Delivery, Reply, Request, error_reply

_HTML = "text/html; charset=UTF-8"
_UNPAID = {  # reasons of refusals that happen before the service counts a call
    "quotaExceeded",
    "dailyLimitExceeded",
    "rateLimitExceeded",
    "userRateLimitExceeded",
    "keyInvalid",
    "keyExpired",
    "API_KEY_INVALID",
    "accessNotConfigured",
    "ipRefererBlocked",
}


@dataclass(frozen=True)
class Fault:
    """What happens to one request; the functions below create the usual faults.

    Args:
        unpaid: the call costs no quota: the service never receives it, or refuses it before counting.
        delay_s: seconds of real time before the answer.
        instead: returns the answer that replaces the service's; None lets the service answer.
        upon: returns the altered answer of the service.
    """

    unpaid: bool = False
    delay_s: float = 0.0
    instead: Callable[[Request], Reply] | None = None
    upon: Callable[[Reply], Reply] = lambda reply: reply


def refusal(
    status: int,
    reason: str,
    message: str = "The request was refused.",
    quota_limit: str | None = None,
    retry_after: float | None = None,
) -> Fault:
    """Answer with an error in Google's format.

    Args:
        status: HTTP status.
        reason: a code such as `rateLimitExceeded` or `backendError`. A code in capitals, such as `API_KEY_INVALID`, selects
            the newer format: the name of the status, `badRequest` in the list, and the code in the details.
        message: the sentence for people.
        quota_limit: the limit that a 429 names: `defaultPerMinutePerProject` or `defaultPerDayPerProject`.
        retry_after: seconds of the `Retry-After` header; None sends no such header.
    """
    details: list[Json] = []
    if quota_limit is not None:
        unit, value = ("1/min/{project}", "1800") if "PerMinute" in quota_limit else ("1/d/{project}", "10000")
        details = rate_details(quota_limit, value, unit)
    elif reason.isupper():
        details = [error_info(reason)]
    domain = "youtube.quota" if reason == "quotaExceeded" else "usageLimits" if reason in _UNPAID else "global"
    listed = "badRequest" if reason.isupper() else reason
    error = ApiError(status, listed, message, domain, details=details, retry_after=retry_after)
    return Fault(unpaid=reason in _UNPAID, instead=lambda _: error_reply(error))


def html_error(status: int) -> Fault:
    """Answer with an error status, such as 502 or 503, and an HTML body, as a proxy does."""
    page = f"<!DOCTYPE html><html><title>Error {status} (Server Error)!!1</title><p>That's an error.</html>\n"
    return Fault(unpaid=True, instead=lambda _: Reply(status, _HTML, page.encode()))


def wrong_content_type() -> Fault:
    """Answer with status 200 and an HTML page, as a captive portal does."""
    page = b"<html><body>Welcome to the airport. Please accept our terms.</body></html>\n"
    return Fault(unpaid=True, instead=lambda _: Reply(200, _HTML, page))


def slow(seconds: float) -> Fault:
    """Send the answer after this many seconds of real time."""
    return Fault(delay_s=seconds)


def cut_off() -> Fault:
    """Announce the full `Content-Length`, send half of the body, then close the connection."""
    return Fault(upon=lambda reply: replace(reply, delivery=Delivery.HALF))


def hang_up() -> Fault:
    """Close the connection without an answer."""
    return Fault(upon=lambda reply: replace(reply, delivery=Delivery.NOTHING))


def garbage() -> Fault:
    """Answer with status 200 and an invalid body: broken JSON, or for a picture a broken JPEG."""

    def spoil(reply: Reply) -> Reply:
        if reply.content_type == JPEG:
            return Reply(200, JPEG, b"\xff\xd8\xff no picture")
        return Reply(200, JSON, b'{"items": [{"id": ')

    return Fault(upon=spoil)


def echo_key() -> Fault:
    """Answer with status 403 and a message that repeats the API key of the request."""

    def refuse(request: Request) -> Reply:
        message = f"Requests with the API key {request.key} from this address are blocked."
        return error_reply(ApiError(403, "ipRefererBlocked", message, "usageLimits"))

    return Fault(unpaid=True, instead=refuse)


@dataclass
class _Injection:
    """A fault and the requests that it still has to hit or to skip."""

    fault: Fault
    endpoint: str | None
    times: int | None
    after: int


class Faults:
    """The injected faults. Each request takes at most one of them."""

    def __init__(self) -> None:
        self._injected: list[_Injection] = []
        self._lock = threading.Lock()

    def inject(self, fault: Fault, endpoint: str | None, times: int | None, after: int) -> None:
        """Let `fault` hit the next `times` requests to `endpoint`, after skipping `after` requests.

        `endpoint` None means any endpoint, and `times` None means every request until `heal`.

        Raises:
            ValueError: `times` is below 1 or `after` is below 0.
        """
        if after < 0 or (times is not None and times < 1):
            raise ValueError(
                f"times must be None or at least 1, and after at least 0; got times={times}, after={after}"
            )
        with self._lock:
            self._injected.append(_Injection(fault, endpoint, times, after))

    def heal(self) -> None:
        """Remove every fault."""
        with self._lock:
            self._injected.clear()

    def take(self, endpoint: str) -> Fault:
        """Return the fault of this request: the oldest one that is due, or a `Fault` that does nothing."""
        due: Fault | None = None
        with self._lock:
            for injection in [other for other in self._injected if other.endpoint in (None, endpoint)]:
                if injection.after:
                    injection.after -= 1
                elif due is None:
                    due = injection.fault
                    if injection.times is not None:
                        injection.times -= 1
                        if not injection.times:
                            self._injected.remove(injection)
        return due or Fault()
