"""Define what a request for a file returns or raises, and read the headers of an answer."""

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from thumblab_core.errors import LabError

NOT_MODIFIED = 304

_LONGEST_TAG = 1_000
"""The longest ETag or Last-Modified, in characters, that is kept. A longer value is ignored."""


@dataclass(frozen=True)
class FetchedAnswer:
    """The answer of a host. The status is 200 with the bytes of the file, or 304 without a body.

    A request may contain the `etag` or `last_modified` of an earlier answer. The host answers 304 if the file has not
    changed since that answer.

    Pass `etag` and `last_modified` to the next request for the same URL. `date` is the time by the host's clock. Each
    of these three fields is None if the host does not send it.
    """

    status: int
    body: bytes
    etag: str | None
    last_modified: str | None
    date: datetime | None

    @property
    def unchanged(self) -> bool:
        return self.status == NOT_MODIFIED


class FetchError(LabError):
    """An error for a URL that was refused or could not be read.

    If a host answered, `status` is the HTTP status and `date` is the time by the host's clock. `retry_after` is the
    number of seconds that the host asks to wait.
    """

    def __init__(
        self,
        message: str,
        status: int | None = None,
        date: datetime | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.date = date
        self.retry_after = retry_after


class RefusedError(FetchError):
    """An error for a URL that the lab does not read. No request was sent to this URL."""


def moment(text: str | None) -> datetime | None:
    """Return the date and time in the text of an HTTP header, or None if the text is not a valid date."""
    try:
        parsed = parsedate_to_datetime(text or "")
        return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    except (ValueError, TypeError, OverflowError):
        return None


def seconds_to_wait(text: str | None, now: datetime | None) -> float | None:
    """Return how many seconds a `Retry-After` header asks to wait, or None without a valid header.

    The header contains a number of seconds, or a moment by the host's clock. `now` is the time by the host's clock.
    """
    if text is None:
        return None
    if text.strip().isascii() and text.strip().isdigit():
        return float(text)
    end = moment(text)
    return max(0.0, (end - (now or datetime.now(UTC))).total_seconds()) if end else None


def tag(text: str | None) -> str | None:
    """Return the text of a header `ETag` or `Last-Modified`. Return None if the text is too long to keep."""
    return text if text and len(text) <= _LONGEST_TAG else None
