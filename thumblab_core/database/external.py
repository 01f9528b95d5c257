"""Check the URL of an external PostgreSQL server before other code uses it.

SQLAlchemy and psycopg would also report a bad URL, but their error messages would show the password.
"""

import re
from typing import TYPE_CHECKING

from thumblab_core.errors import LabError

if TYPE_CHECKING:
    from sqlalchemy import URL

_NAME = "THUMBLAB_DATABASE_URL"
_LOOKS_LIKE = "A correct URL looks like postgresql://USER:PASSWORD@HOST/DATABASE"
_USER_AND_PASSWORD = re.compile(r"[^:/]*(:[^@]*)?@")
_FOR_OTHER_CLIENTS = {
    # for prepared statements
    *("pgbouncer", "prepare_threshold", "statement_cache_size", "prepared_statement_cache_size"),
    # for the connection pool of the client
    *("connection_limit", "pool_timeout", "socket_timeout", "pool_size", "max_overflow"),
    *("supa", "workaround"),  # Supabase and Vercel add these parameters.
}
"""Parameters of a URL that are for the pool and the prepared statements of another client, such as Prisma.

libpq, the client library that the lab uses, does not accept these parameters. They change neither the data nor the
security of the connection. So the lab drops them from the URL.
"""
_INSTEAD = {
    "schema": "Remove it, and ask the administrator to run: ALTER ROLE the role SET search_path = the schema",
    "ssl": "Write sslmode=require instead",
    "sslaccept": "Write sslmode=verify-full, or sslmode=require to accept any certificate",
    "tls": "Write sslmode=require instead",
}
"""The advice for each parameter of another client that changes which data are read or how secure the connection is."""


def external_url(given: str, driver: str) -> "URL":
    """Convert the URL `given` to a URL for the SQLAlchemy driver `driver`.

    Raises LabError if `given` is not a URL of PostgreSQL, or if the URL has an unknown or repeated parameter. The
    message contains no part of the password.
    """
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    scheme, _, rest = given.strip().partition("://")
    user = _USER_AND_PASSWORD.match(rest)
    before = user.group() if user else ""
    place, mark, query = rest.removeprefix(before).partition("?")
    if "@" in place or (before and "@" in query):
        raise LabError(
            f"{_NAME} has more than one @, so the end of the password is unclear. In a user name, a password or a "
            "parameter, write %40 for @, %3A for :, %2F for /, %3F for ?, %25 for %"
        )
    try:
        # SQLAlchemy would read a plus in a parameter as a space, but PostgreSQL reads it as a plus. So the plus is
        # escaped.
        url = make_url(f"{scheme}://{before}{place}{mark}{query.replace('+', '%2B')}")
    except (ArgumentError, ValueError):
        # `from None` hides SQLAlchemy's own message, because this message shows the password.
        raise LabError(f"{_NAME} is not a URL. {_LOOKS_LIKE}") from None
    if url.get_backend_name() not in ("postgresql", "postgres"):
        raise LabError(
            f"{_NAME} is for {url.get_backend_name()}, but the lab needs PostgreSQL with pgvector. Unset this setting "
            "to use the embedded server."
        )
    dropped = _FOR_OTHER_CLIENTS | ({"schema"} if url.query.get("schema") == "public" else set())
    return _checked(url.difference_update_query(dropped)).set(drivername=f"postgresql+{driver}")


def _checked(url: "URL") -> "URL":
    """Return `url` if its parameters can be used.

    Raises LabError if libpq does not accept a parameter, or if a parameter other than `host` and `port` is given twice.
    """
    from psycopg.pq import Conninfo

    known = {option.keyword.decode() for option in Conninfo.get_defaults()}
    unknown = sorted(set(url.query) - known)
    if unknown:
        advice = _INSTEAD.get(unknown[0], "Remove it")
        raise LabError(f"{_NAME} has a parameter that PostgreSQL does not know: {', '.join(unknown)}. {advice}")
    twice = sorted(
        name for name, value in url.query.items() if name not in ("host", "port") and not isinstance(value, str)
    )
    if twice:
        raise LabError(f"{_NAME} has a parameter twice: {', '.join(twice)}. Remove one of the two")
    return url
