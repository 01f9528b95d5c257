"""Make the error answers of the emulated API in Google's two formats.

An error has a reason in both formats. In the newer format, an error also has the fields `status` and `details`.
"""

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
"""The name that Google gives to each HTTP status."""


class ApiError(Exception):
    """An error that is sent to the client in Google's format. A client reads its `reason` to decide what to do.

    Args:
        status: the HTTP status.
        reason: a code such as `quotaExceeded`. The client finds it in `errors[0].reason`.
        message: a sentence for people.
        domain: the source of the error, such as `youtube.quota`.
        location: the name of the wrong parameter, or None if no parameter is wrong.
        details: the entries of `error.details`. An error with details, or with status 429, also has the field
            `error.status`, which names the HTTP status.
        retry_after: the seconds in the header `Retry-After`. If it is None, the answer does not have this header.
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
        """Return the JSON body of the answer."""
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
    """Return an entry of `details`. The entry is a `google.rpc.ErrorInfo` of the YouTube service."""
    return {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": "googleapis.com",
        "metadata": {**metadata, "service": "youtube.googleapis.com", "consumer": "projects/1"},
    }


def rate_details(quota_limit: str, value: str, unit: str) -> list[Json]:
    """Return the `details` of an error with status 429. They contain the name of the limit that was reached.

    `value` is the limit, and `unit` is its unit, such as `1/d/{project}`.
    """
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
    """Return the error for a missing or wrong API key."""
    return ApiError(400, "keyInvalid", "API key not valid. Please pass a valid API key.", "usageLimits")


def not_found() -> ApiError:
    """Return the error for a path that does not exist."""
    return ApiError(404, "notFound", "The requested resource cannot be found.", "global")
