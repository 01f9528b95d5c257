"""The URL of a PostgreSQL that a person gives: checked before anything reads it whose errors would tell a password."""

import re
from typing import TYPE_CHECKING

from thumblab_core.errors import LabError

if TYPE_CHECKING:
    from sqlalchemy import URL

_NAME = "THUMBLAB_DATABASE_URL"
_LOOKS_LIKE = "It looks like postgresql://USER:PASSWORD@HOST/DATABASE"
_USER_AND_PASSWORD = re.compile(r"[^:/]*(:[^@]*)?@")
_FOR_OTHER_CLIENTS = {"pgbouncer", "prepare_threshold", "statement_cache_size", "prepared_statement_cache_size"}
"""They ask a client not to prepare statements before a pooler. The lab never does."""


def external_url(given: str, driver: str) -> "URL":
    """The URL for a driver of SQLAlchemy. Raises LabError, which shows no part of a password."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    scheme, _, rest = given.strip().partition("://")
    user = _USER_AND_PASSWORD.match(rest)
    before = user.group() if user else ""
    place, mark, query = rest.removeprefix(before).partition("?")
    if "@" in place or (before and "@" in query):
        raise LabError(
            f"{_NAME} has more than one @, so nobody can tell where the password ends. Where a user name, a password or a "
            "parameter has an @, write %40 instead, and %3A for :, %2F for /, %3F for ?, %25 for %"
        )
    try:
        # To PostgreSQL a plus in a parameter is a plus, to SQLAlchemy a space.
        url = make_url(f"{scheme}://{before}{place}{mark}{query.replace('+', '%2B')}")
    except (ArgumentError, ValueError):  # `from None`: SQLAlchemy's own message shows the password
        raise LabError(f"{_NAME} is not a URL. {_LOOKS_LIKE}") from None
    if url.get_backend_name() not in ("postgresql", "postgres"):
        raise LabError(
            f"{_NAME} is for {url.get_backend_name()}; the lab needs PostgreSQL with pgvector. Unset it to use the "
            "embedded one."
        )
    return _checked(url.difference_update_query(_FOR_OTHER_CLIENTS)).set(drivername=f"postgresql+{driver}")


def _checked(url: "URL") -> "URL":
    from psycopg.pq import Conninfo

    known = {option.keyword.decode() for option in Conninfo.get_defaults()}
    unknown = sorted(set(url.query) - known)
    if unknown:
        raise LabError(f"{_NAME} has a parameter that PostgreSQL does not know: {', '.join(unknown)}. Take it out")
    twice = sorted(
        name for name, value in url.query.items() if name not in ("host", "port") and not isinstance(value, str)
    )
    if twice:
        raise LabError(f"{_NAME} has a parameter twice: {', '.join(twice)}. Leave one of the two")
    return url
