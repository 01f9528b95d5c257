"""What goes wrong on the way to a real service, made on purpose: refusals, broken bodies, broken connections.

A fault either answers in the service's place or spoils its answer. What the service never heard of, or refused before it
counted it (a quota, a key), costs nothing; any other call is paid for.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from demo.errors import ApiError, Json, error_info, rate_details
from demo.messages import JPEG, JSON, Delivery, Reply, Request, error_reply

_HTML = "text/html; charset=UTF-8"
_UNPAID = {  # reasons that the service gives before it counts a call
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
    """What befalls one request; made by the functions below.

    Args:
        unheard: the service never hears of the request, or refuses it before it counts it.
        delay_s: seconds of real time before anything is answered.
        instead: the answer in the service's place; None lets the service answer.
        upon: what becomes of the service's answer on its way.
    """

    unheard: bool = False
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
    """An error in Google's shape.

    Args:
        status: HTTP status.
        reason: `rateLimitExceeded`, `backendError` and so on; one in capitals, `API_KEY_INVALID`, comes as the newer errors
            do: with the status' name, `badRequest` in the list, and the reason in the details.
        message: for people.
        quota_limit: the limit that a 429 names, `defaultPerMinutePerProject` or `defaultPerDayPerProject`.
        retry_after: seconds, in a `Retry-After` header.
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
    return Fault(unheard=reason in _UNPAID, instead=lambda _: error_reply(error))


def html_error(status: int) -> Fault:
    """502 or 503 with an HTML body, as a proxy sends."""
    page = f"<!DOCTYPE html><html><title>Error {status} (Server Error)!!1</title><p>That's an error.</html>\n"
    return Fault(unheard=True, instead=lambda _: Reply(status, _HTML, page.encode()))


def wrong_content_type() -> Fault:
    """200 with a page of HTML, as a captive portal sends."""
    page = b"<html><body>Welcome to the airport. Please accept our terms.</body></html>\n"
    return Fault(unheard=True, instead=lambda _: Reply(200, _HTML, page))


def slow(seconds: float) -> Fault:
    """The answer comes after so many seconds of real time."""
    return Fault(delay_s=seconds)


def cut_off() -> Fault:
    """`Content-Length` states the whole body, half is sent, the connection closes."""
    return Fault(upon=lambda reply: replace(reply, delivery=Delivery.HALF))


def hang_up() -> Fault:
    """The connection closes with no answer."""
    return Fault(upon=lambda reply: replace(reply, delivery=Delivery.NOTHING))


def garbage() -> Fault:
    """200 `application/json` with invalid JSON; of a picture, `image/jpeg` with no picture in it."""

    def spoil(reply: Reply) -> Reply:
        if reply.content_type == JPEG:
            return Reply(200, JPEG, b"\xff\xd8\xff no picture")
        return Reply(200, JSON, b'{"items": [{"id": ')

    return Fault(upon=spoil)


def echo_key() -> Fault:
    """403 with the very API key that was sent in its message."""

    def refuse(request: Request) -> Reply:
        message = f"Requests with the API key {request.key} from this address are blocked."
        return error_reply(ApiError(403, "ipRefererBlocked", message, "usageLimits"))

    return Fault(unheard=True, instead=refuse)


@dataclass
class _Injection:
    fault: Fault
    endpoint: str | None
    times: int | None
    after: int


class Faults:
    """The faults that are due, taken by one request each."""

    def __init__(self) -> None:
        self._injected: list[_Injection] = []
        self._lock = threading.Lock()

    def inject(self, fault: Fault, endpoint: str | None, times: int | None, after: int) -> None:
        """Have `fault` hit the next `times` requests to `endpoint` (None: any) after `after` more; `times` None: all."""
        if after < 0 or (times is not None and times < 1):
            raise ValueError(f"times must be at least 1 or None and after at least 0; got {times} and {after}")
        with self._lock:
            self._injected.append(_Injection(fault, endpoint, times, after))

    def heal(self) -> None:
        with self._lock:
            self._injected.clear()

    def take(self, endpoint: str) -> Fault:
        """What befalls this request: the oldest fault that is due, or a `Fault` that does nothing."""
        due: Fault | None = None
        with self._lock:
            for injection in [found for found in self._injected if found.endpoint in (None, endpoint)]:
                if injection.after:
                    injection.after -= 1
                elif due is None:
                    due = injection.fault
                    if injection.times is not None:
                        injection.times -= 1
                        if not injection.times:
                            self._injected.remove(injection)
        return due or Fault()
