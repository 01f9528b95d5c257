"""Faults that a test can inject into the emulator, such as refusals, broken bodies and broken connections.

A fault replaces the answer of the emulated service, or alters it. A call costs no quota if the service never receives
the call, or refuses it because of a limit or because of the key. Every other call costs quota, even a call that fails.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from demo.errors import ApiError, Json, error_info, rate_details
from demo.messages import JPEG, JSON, Delivery, Reply, Request, error_reply

_HTML = "text/html; charset=UTF-8"
# If the service refuses a call for one of these reasons, the call costs no quota.
_UNPAID = {
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
    """A change of the answer to one request. The functions below create the usual faults.

    Args:
        unpaid: whether the call costs no quota. The service never receives or counts such a call.
        delay_s: the seconds of real time before the answer.
        instead: a function that returns an answer in place of the service. With None, the service answers.
        upon: a function that takes an answer, and returns the altered answer.
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
    """Return a fault that answers with an error in Google's format.

    Args:
        status: the HTTP status.
        reason: a code such as `rateLimitExceeded` or `backendError`. A code in capitals, such as `API_KEY_INVALID`,
            selects the newer format. The code is then in `error.details`, and the reason in `error.errors` is
            `badRequest`.
        message: a sentence for people.
        quota_limit: the name of the limit in an error with status 429. The name is `defaultPerMinutePerProject` or
            `defaultPerDayPerProject`.
        retry_after: the seconds in the header `Retry-After`. If it is None, the answer does not have this header.
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
    """Return a fault that answers with an error status, such as 502, and an HTML body. A proxy may answer like this."""
    page = f"<!DOCTYPE html><html><title>Error {status} (Server Error)!!1</title><p>That's an error.</html>\n"
    return Fault(unpaid=True, instead=lambda _: Reply(status, _HTML, page.encode()))


def wrong_content_type() -> Fault:
    """Return a fault that answers with status 200 and an HTML page, as a captive portal does."""
    page = b"<html><body>Welcome to the airport. Please accept our terms.</body></html>\n"
    return Fault(unpaid=True, instead=lambda _: Reply(200, _HTML, page))


def slow(seconds: float) -> Fault:
    """Return a fault that sends the answer after `seconds` seconds of real time."""
    return Fault(delay_s=seconds)


def cut_off() -> Fault:
    """Return a fault that announces the full `Content-Length`, sends half of the body, and closes the connection."""
    return Fault(upon=lambda reply: replace(reply, delivery=Delivery.HALF))


def hang_up() -> Fault:
    """Return a fault that closes the connection without an answer."""
    return Fault(upon=lambda reply: replace(reply, delivery=Delivery.NOTHING))


def garbage() -> Fault:
    """Return a fault that answers with status 200 and broken JSON. If the answer is a picture, the fault sends a broken
    JPEG.
    """

    def spoil(reply: Reply) -> Reply:
        if reply.content_type == JPEG:
            return Reply(200, JPEG, b"\xff\xd8\xff no picture")
        return Reply(200, JSON, b'{"items": [{"id": ')

    return Fault(upon=spoil)


def echo_key() -> Fault:
    """Return a fault that answers with status 403 and a message that repeats the API key of the request."""

    def refuse(request: Request) -> Reply:
        message = f"Requests with the API key {request.key} from this address are blocked."
        return error_reply(ApiError(403, "ipRefererBlocked", message, "usageLimits"))

    return Fault(unpaid=True, instead=refuse)


@dataclass
class _Injection:
    """A fault that still has to be applied: first skip `after` requests, then apply the fault to `times` requests."""

    fault: Fault
    endpoint: str | None
    times: int | None
    after: int


class Faults:
    """The faults that were injected. A request gets at most one fault."""

    def __init__(self) -> None:
        self._injected: list[_Injection] = []
        self._lock = threading.Lock()

    def inject(self, fault: Fault, endpoint: str | None, times: int | None, after: int) -> None:
        """Skip `after` requests to `endpoint`. Then apply `fault` to the next `times` requests to `endpoint`.

        If `endpoint` is None, requests to all endpoints get the fault. If `times` is None, all requests get the fault
        until `heal` is called.

        Raises:
            ValueError: `times` is below 1 or `after` is below 0.
        """
        if after < 0 or (times is not None and times < 1):
            raise ValueError(
                f"times must be None or at least 1, and after must be at least 0; got times={times}, after={after}"
            )
        with self._lock:
            self._injected.append(_Injection(fault, endpoint, times, after))

    def heal(self) -> None:
        """Remove all injected faults."""
        with self._lock:
            self._injected.clear()

    def take(self, endpoint: str) -> Fault:
        """Count one request to the endpoint, and return the fault that the request gets.

        If several injected faults match the request, return the fault that was injected first. If no fault matches,
        return a `Fault` that does nothing.
        """
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
