"""Read the parameters of a query, and divide results into pages.

If a parameter has an invalid value, an `ApiError` is raised with the reason and the message that YouTube gives.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from demo.errors import ApiError, Json

Params = Mapping[str, Sequence[str]]
"""A query in the format of `urllib.parse.parse_qs`. Every parameter may have several values."""

PAGE_LIMIT = 50
"""The largest number of ids in a call, and the largest number of results on a page."""


@dataclass(frozen=True)
class Page:
    """A page of a result: the `size` items from the position `start` on."""

    start: int
    size: int

    @property
    def stop(self) -> int:
        return self.start + self.size

    def envelope(self, total: int, reachable: int | None = None) -> Json:
        """Return the page tokens and the `pageInfo` of an answer that contains this page.

        `total` is the number of all results. `reachable` is the number of results that a client can get page by page,
        or None if the client can get all results.
        """
        answer: Json = {}
        if self.size and self.stop < (total if reachable is None else reachable):
            answer["nextPageToken"] = _token(self.stop)
        if self.start:
            answer["prevPageToken"] = _token(max(0, self.start - self.size))
        return answer | {"pageInfo": {"totalResults": total, "resultsPerPage": self.size}}


def page(params: Params) -> Page:
    """Return the page that `maxResults` and `pageToken` ask for. By default, a page has 5 results."""
    size = text(params, "maxResults") or "5"
    if not size.isascii() or not size.isdigit() or int(size) > PAGE_LIMIT:
        message = f"Invalid value '{size}'. Values must be within the range: [0, {PAGE_LIMIT}]"
        raise bad_request("invalidParameter", message, "maxResults")
    token = text(params, "pageToken")
    return Page(_start(token) if token else 0, int(size))


def single_page(count: int) -> Json:
    """Return the `pageInfo` of an answer that is not divided into pages."""
    return {"pageInfo": {"totalResults": count, "resultsPerPage": count}}


def text_list(params: Params, name: str) -> list[str]:
    """Return the values of a parameter. A query may repeat the parameter, or separate several values by commas."""
    return [part.strip() for value in params.get(name, ()) for part in value.split(",") if part.strip()]


def text(params: Params, name: str) -> str | None:
    """Return the last value of a parameter, or None if the parameter is missing."""
    values = params.get(name, ())
    return values[-1] if values else None


def parts(params: Params) -> list[str]:
    """Return the values of the required parameter `part`."""
    names = text_list(params, "part")
    if not names:
        raise bad_request("missingRequiredParameter", "Required parameter: part", "part")
    return names


def ids(params: Params, filters: str) -> list[str]:
    """Return the values of the required parameter `id`, at most 50.

    If no id is given, the error message names the parameters in `filters`, which the client could give instead.
    """
    values = text_list(params, "id")
    if not values:
        message = f"No filter selected. Expected one of: {filters}"
        raise bad_request("missingRequiredParameter", message, "parameters.")
    if len(values) > PAGE_LIMIT:
        raise bad_request("invalidFilters", "The request specifies an invalid filter parameter.", "id")
    return values


def player_side(params: Params, name: str) -> int | None:
    """Return the length of a side of the embedded player, 72 to 8192 pixels, or None if the parameter is missing."""
    value = text(params, name)
    if value is None:
        return None
    if not value.isascii() or not value.isdigit() or not 72 <= int(value) <= 8192:
        raise bad_request(
            "invalidParameter", f"Invalid value '{value}'. Values must be within the range: [72, 8192]", name
        )
    return int(value)


def moment(params: Params, name: str) -> datetime | None:
    """Return the time that the parameter gives in the format of RFC 3339, or None if the parameter is missing.

    A time without an offset is UTC.
    """
    value = text(params, name)
    if not value:
        return None
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        raise bad_request("invalidParameter", f"Invalid value for the parameter {name}: {value}", name) from None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def region_or_language(params: Params, name: str) -> str | None:
    """Return the code of a region or language, or None if the parameter is missing.

    A code has two letters. The code of a language may also have a hyphen and a script or a region, such as `pt-BR`.
    """
    code = text(params, name)
    if code and not (code.isascii() and len(code.partition("-")[0]) == 2 and code.replace("-", "").isalnum()):
        raise bad_request("invalidParameter", f"Invalid value for the parameter {name}: {code}", name)
    return code


def bad_request(reason: str, message: str, location: str) -> ApiError:
    """Return the error with status 400 for a wrong parameter. `location` is the name of the parameter."""
    return ApiError(400, reason, message, "youtube.parameter", location)


def _token(start: int) -> str:
    return base64.urlsafe_b64encode(f"at:{start}".encode()).decode().rstrip("=")


def _start(token: str) -> int:
    try:
        decoded = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode("ascii")
        if decoded.startswith("at:") and decoded[3:].isdigit():
            return int(decoded[3:])
    except (binascii.Error, ValueError):
        pass
    raise bad_request("invalidPageToken", "The request specifies an invalid page token.", "pageToken")
