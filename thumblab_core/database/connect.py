"""Open one connection to the database, or raise an error that gives the reason in one sentence."""

import time
from typing import TYPE_CHECKING, Any

from thumblab_core.database.troubles import DatabaseTroubleError, first_line, trouble_of

if TYPE_CHECKING:
    import psycopg
    from sqlalchemy import URL


def parameters_of(url: "URL") -> dict[str, Any]:
    """Return the parts of `url` as libpq's connection parameters."""
    _, parameters = url.get_dialect()().create_connect_args(url)
    return dict(parameters)


def connect(parameters: dict[str, Any], patience: float = 0) -> "psycopg.Connection":
    """Return a connection in autocommit mode that prepares no statements.

    If the connection fails, try again for `patience` seconds. Give a `patience` above 0 only for the lab's own server,
    which may be recovering. Raises LabError if all tries fail. If another try cannot help, raises LabError immediately.
    """
    import psycopg
    from psycopg.conninfo import make_conninfo

    deadline = time.monotonic() + patience
    while True:
        try:
            conninfo = make_conninfo(**{"connect_timeout": 10, **parameters})
            return psycopg.connect(conninfo, autocommit=True, prepare_threshold=None)
        # All errors of psycopg are caught here, because a bad URL raises errors that are not an OperationalError.
        except psycopg.Error as error:
            if time.monotonic() > deadline or not isinstance(error, psycopg.OperationalError):
                raise _trouble(error, own=patience > 0) from None
        time.sleep(0.1)


def _trouble(error: "psycopg.Error", own: bool) -> DatabaseTroubleError:
    if own:
        return DatabaseTroubleError(f"The database does not answer: {first_line(error)}. Try: thumblab db stop --force")
    trouble = trouble_of(error)
    return trouble or DatabaseTroubleError(
        f"The database does not answer: {first_line(error)}. Check THUMBLAB_DATABASE_URL"
    )
