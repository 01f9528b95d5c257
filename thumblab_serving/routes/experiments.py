"""The routes `POST /v1/experiments` and `GET /v1/experiments`."""

from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, Request, Response

from thumblab_core.errors import LabError
from thumblab_core.experiments.rules import RuleError
from thumblab_serving.experiments.stored_experiments import NotStoredError, NotYourChannelError, StoredExperiments
from thumblab_serving.http import experiment_submission
from thumblab_serving.http.admission import Admission
from thumblab_serving.http.auth import require_key
from thumblab_serving.http.problems import Problem, error_responses
from thumblab_serving.http.queries import query_documentation, query_of
from thumblab_serving.http.received import invalid
from thumblab_serving.keys.key_ring import Grant
from thumblab_serving.loading.database import NoDatabaseError
from thumblab_serving.routes.no_database import no_database
from thumblab_serving.schemas.experiments import (
    ExperimentQuery,
    ExperimentsOut,
    StoredExperimentOut,
    facts_of,
    page_of,
    place_of,
)
from thumblab_serving.scoring.scorer import Scorer

router = APIRouter(tags=["experiments"])

CONCURRENT = 4
"""At most this many experiments are stored at the same time. At most this many lists are read at the same time.

Further requests wait in one of two queues. Lists have a queue of their own, because a request that stores an experiment
may take long to fetch its pictures by URL.
"""

T = TypeVar("T")


@router.post(
    "/v1/experiments",
    summary="Store what happened when two or three variants were tested on one video",
    response_model=StoredExperimentOut,
    dependencies=[Depends(require_key)],
    responses={
        200: {
            "description": "The same channel, video and first day were stored before. `state` says whether facts changed."
        },
        201: {"description": "The experiment is new.", "model": StoredExperimentOut},
        **error_responses(400, 401, 408, 413, 415, 422, 503),
    },
    openapi_extra={"requestBody": experiment_submission.documentation()},
)
async def add(request: Request, response: Response) -> StoredExperimentOut:
    """Send pictures as URLs of an allowed image host, in base64, or as uploaded files. An experiment may also have only
    titles.

    An experiment is identified by its channel, its video and its first day. If you send an experiment again, the new
    facts replace the old facts. You can therefore repeat a request. A key without the scope `admin` can store only
    experiments of its own channels.
    """
    stored_experiments: StoredExperiments = request.app.state.experiments
    admission: Admission = request.app.state.experiments_admission
    grant: Grant = request.state.grant
    async with admission.admit(grant):
        given = await experiment_submission.read(request)
        stored, state = await _run(request, "storing", lambda: stored_experiments.add(given, grant.acts_for))
    response.status_code = HTTPStatus.CREATED if state == "new" else HTTPStatus.OK
    return StoredExperimentOut.model_validate(facts_of(stored) | {"state": state})


@router.get(
    "/v1/experiments",
    summary="List the stored experiments, the newest first",
    response_model=ExperimentsOut,
    dependencies=[Depends(require_key)],
    responses=error_responses(401, 422, 503),
    openapi_extra={"parameters": query_documentation(ExperimentQuery)},
)
async def page(request: Request) -> ExperimentsOut:
    """Return a page of the experiments. `next_cursor` leads to the next page.

    A key without the scope `admin` does not see the experiments of channels that belong to another key. The experiments
    are sorted by their first day. Experiments that are stored between two requests do not shift the
    pages.
    """
    stored_experiments: StoredExperiments = request.app.state.experiments
    grant: Grant = request.state.grant
    query = query_of(request, ExperimentQuery)
    after = None if query.cursor is None else place_of(query.cursor)
    # Read one experiment more than the page shows. If there is such an experiment, there is another page.
    read = partial(stored_experiments.page, query.channel_id, after, query.limit + 1, grant.acts_for)
    stored = await _run(request, "listing", read)
    return page_of(stored, query.limit)


async def _run(request: Request, queue: str, work: Callable[[], T]) -> T:
    """Return the result of `work`, which runs in a thread. Raises a `Problem` for an error of the lab.

    `queue` is the name of the queue in which the request waits (see `CONCURRENT`).
    """
    limiter: CapacityLimiter = request.app.state.experiments_limiters[queue]
    scorer: Scorer = request.app.state.scorer
    try:
        return await to_thread.run_sync(work, limiter=limiter)
    except NoDatabaseError as error:
        raise no_database("experiments need the lab's database", error, scorer.database) from None
    except RuleError as error:
        raise invalid(f"{_field(error.field)}: {error}") from None
    except NotYourChannelError as error:
        raise Problem(HTTPStatus.FORBIDDEN, "not-your-channel", str(error)) from None
    except NotStoredError as error:
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "not-stored", str(error), {"Retry-After": "60"}) from None
    except LabError as error:
        raise invalid(str(error)) from None


def _field(name: str) -> str:
    """Return the name that a field has in requests. `name` is a `RuleError.field`."""
    return "channel_id" if name == "channel" else name.removesuffix(".picture")
