"""The errors of the client. Each of them is a `ThumblabError`."""

from http import HTTPStatus


class ThumblabError(Exception):
    """The base class of all errors of the client."""


class PictureError(ThumblabError, ValueError):
    """A picture of the request cannot be read, so nothing was sent."""


class ExportError(ThumblabError, ValueError):
    """The exports of a channel cannot be read, or are too large to send. Nothing was sent."""


class NoAnswerError(ThumblabError):
    """The service did not answer: it does not run, cannot be reached, or took too long."""


class UnexpectedAnswerError(ThumblabError):
    """An answer does not have the documented form. Probably, the URL belongs to another program and not to the
    service.
    """


class StillRunningError(ThumblabError, TimeoutError):
    """A batch or an import has not ended in the time for which the program wanted to wait. The service still works on
    the batch or the import.
    """


class ProblemError(ThumblabError):
    """The service answered with a problem (RFC 9457).

    `status` is the HTTP status. `type`, `title` and `detail` are the fields of the problem; `detail` says what is wrong
    and what to do. `kind` is the last part of `type`, such as `invalid-request`. `retry_after` is the number of seconds
    to wait before the next try, or None. `request_id` is the id of the request in the log of the service.
    """

    def __init__(
        self,
        status: int,
        type: str,
        title: str,
        detail: str,
        retry_after: float | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(status, type, title, detail, retry_after, request_id)
        self.status = status
        self.type = type
        self.title = title
        self.detail = detail
        self.retry_after = retry_after
        self.request_id = request_id

    @property
    def kind(self) -> str:
        return self.type.rpartition(":")[2]

    def __str__(self) -> str:
        return f"{self.status} {self.title}: {self.detail}"


class UnauthorizedError(ProblemError):
    """The API key is missing or wrong, or does not allow this request (status 401 or 403)."""


class InvalidRequestError(ProblemError):
    """The request breaks a rule, so the same request would fail again (status 400 to 499, except 401, 403, 408 and
    429).
    """


class UnavailableError(ProblemError):
    """The service cannot answer now, and may answer later (status 408, 429, or 500 and above)."""


def problem_error(status: int) -> type[ProblemError]:
    """Return the class of the error for an answer with this status."""
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return UnauthorizedError
    if status in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS) or status >= 500:
        return UnavailableError
    return InvalidRequestError
