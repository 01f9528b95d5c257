"""Refusals in Google's error shape, the older one with reasons and the newer one with `status` and `details`."""

from collections.abc import Sequence
from typing import Any

Json = dict[str, Any]

STATUS_NAMES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}
"""Google's canonical name of each HTTP status that carries one."""


class ApiError(Exception):
    """An answer in Google's error shape; `reason` is what clients decide by.

    Args:
        status: HTTP status.
        reason: such as `quotaExceeded`, in `errors[0].reason`.
        message: for people.
        domain: such as `youtube.quota`.
        location: the parameter that is wrong.
        details: entries of `error.details`; with any, and with 429, the error also carries its canonical `status` name.
        retry_after: seconds in a `Retry-After` header.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        domain: str,
        location: str | None = None,
        *,
        details: Sequence[Json] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.domain = domain
        self.location = location
        self.details = tuple(details)
        self.retry_after = retry_after

    def body(self) -> Json:
        entry: Json = {"message": str(self), "domain": self.domain, "reason": self.reason}
        if self.location is not None:
            entry |= {"location": self.location, "locationType": "parameter"}
        error: Json = {"code": self.status, "message": str(self), "errors": [entry]}
        if self.details or self.status == 429:
            error["status"] = STATUS_NAMES[self.status]
        if self.details:
            error["details"] = list(self.details)
        return {"error": error}


def error_info(reason: str, **metadata: str) -> Json:
    """A `google.rpc.ErrorInfo` of the YouTube service, an entry of `details`."""
    return {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": "googleapis.com",
        "metadata": {**metadata, "service": "youtube.googleapis.com", "consumer": "projects/1"},
    }


def rate_details(quota_limit: str, value: str, unit: str) -> list[Json]:
    """What a 429 says about the limit that was hit, `unit` such as `1/d/{project}`."""
    return [
        error_info(
            "RATE_LIMIT_EXCEEDED",
            quota_limit=quota_limit,
            quota_limit_value=value,
            quota_unit=unit,
            quota_metric="youtube.googleapis.com/default",
        )
    ]


def invalid_key() -> ApiError:
    return ApiError(400, "keyInvalid", "API key not valid. Please pass a valid API key.", "usageLimits")


def no_such_thing() -> ApiError:
    return ApiError(404, "notFound", "The requested resource cannot be found.", "global")
