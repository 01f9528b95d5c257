"""Reading a query's parameters and cutting a result into pages; what cannot be read is refused as YouTube does."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from demo.errors import ApiError, Json

Params = Mapping[str, Sequence[str]]
"""A query as `urllib.parse.parse_qs` reads it: every parameter may be repeated."""

MOST = 50
"""Ids in a call, and results on a page."""


@dataclass(frozen=True)
class Page:
    """Which stretch of a result the caller asked for: `size` items from `start` on."""

    start: int
    size: int

    @property
    def stop(self) -> int:
        return self.start + self.size

    def envelope(self, total: int, reachable: int | None = None) -> Json:
        """Tokens and `pageInfo`; `reachable` is how far one can page, where that is not to the `total`."""
        answer: Json = {}
        if self.size and self.stop < (total if reachable is None else reachable):
            answer["nextPageToken"] = _token(self.stop)
        if self.start:
            answer["prevPageToken"] = _token(max(0, self.start - self.size))
        return answer | {"pageInfo": {"totalResults": total, "resultsPerPage": self.size}}


def page(params: Params) -> Page:
    size = one(params, "maxResults") or "5"
    if not size.isascii() or not size.isdigit() or int(size) > MOST:
        message = f"Invalid value '{size}'. Values must be within the range: [0, {MOST}]"
        raise bad("invalidParameter", message, "maxResults")
    token = one(params, "pageToken")
    return Page(_start(token) if token else 0, int(size))


def whole(count: int) -> Json:
    """The `pageInfo` of an answer that has no pages."""
    return {"pageInfo": {"totalResults": count, "resultsPerPage": count}}


def many(params: Params, name: str) -> list[str]:
    """A list comes as one value with commas, as a repeated parameter, or as a mixture."""
    return [part.strip() for value in params.get(name, ()) for part in value.split(",") if part.strip()]


def one(params: Params, name: str) -> str | None:
    values = params.get(name, ())
    return values[-1] if values else None


def parts(params: Params) -> list[str]:
    found = many(params, "part")
    if not found:
        raise bad("missingRequiredParameter", "Required parameter: part", "part")
    return found


def ids(params: Params, filters: str) -> list[str]:
    found = many(params, "id")
    if not found:
        message = f"No filter selected. Expected one of: {filters}"
        raise bad("missingRequiredParameter", message, "parameters.")
    if len(found) > MOST:
        raise bad("invalidFilters", "The request specifies an invalid filter parameter.", "id")
    return found


def number(params: Params, name: str) -> int | None:
    text = one(params, name)
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or not 72 <= int(text) <= 8192:
        raise bad("invalidParameter", f"Invalid value '{text}'. Values must be within the range: [72, 8192]", name)
    return int(text)


def moment(params: Params, name: str) -> datetime | None:
    """An RFC 3339 time, UTC where it has no offset."""
    text = one(params, name)
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise bad("invalidParameter", f"Invalid value for the parameter {name}: {text}", name) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def code(params: Params, name: str) -> str | None:
    """A region or a language: two letters, with a script or region after a hyphen for some languages."""
    text = one(params, name)
    if text and not (text.isascii() and len(text.partition("-")[0]) == 2 and text.replace("-", "").isalnum()):
        raise bad("invalidParameter", f"Invalid value for the parameter {name}: {text}", name)
    return text


def bad(reason: str, message: str, location: str) -> ApiError:
    return ApiError(400, reason, message, "youtube.parameter", location)


def _token(start: int) -> str:
    return base64.urlsafe_b64encode(f"at:{start}".encode()).decode().rstrip("=")


def _start(token: str) -> int:
    try:
        text = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode("ascii")
        if text.startswith("at:") and text[3:].isdigit():
            return int(text[3:])
    except (binascii.Error, ValueError):
        pass
    raise bad("invalidPageToken", "The request specifies an invalid page token.", "pageToken")
