"""The error answer of a route that needs the lab's database while the database does not answer."""

import math
from http import HTTPStatus

from thumblab_serving.http.problems import Problem
from thumblab_serving.loading.database import NoDatabaseError, ServiceDatabase

_RETRY_S = 5


def no_database(need: str, error: NoDatabaseError, database: ServiceDatabase) -> Problem:
    """Return the 503 `Problem` for `error`. Its `Retry-After` is the time until the service queries the database again.

    `need`: a clause that says what needs the database, such as "experiments need the lab's database".
    """
    detail = f"{need}, and {error}; `thumblab db status` says more"
    headers = {"Retry-After": str(max(_RETRY_S, math.ceil(database.retry_seconds)))}
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "no-database", detail, headers)
