"""Start the runs that a request needs, and compose the answer. All routes that start runs use this module."""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from fastapi import Request, Response
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from thumblab_serving.dagster_runs.following import FollowedRun, GoneError, follow, start
from thumblab_serving.dagster_runs.graphql import DagsterError, FailingDagsterError, NoDagsterError
from thumblab_serving.dagster_runs.runs import DagsterRuns, FullQueueError, Outcome, RunRequest
from thumblab_serving.http.lab_requests import documentation
from thumblab_serving.http.problems import Problem, error_responses
from thumblab_serving.schemas.lab_runs import ChangedItemsOut, NicheStats, RunOut, Status, WaitQuery
from thumblab_serving.schemas.strict import StrictModel

WAITING = 16
"""Maximum number of requests with `wait=true` at the same time. A request is counted before its runs are started."""


def documented(
    answer: type[BaseModel], body: type[StrictModel], query: type[StrictModel], required: bool = False
) -> dict[str, Any]:
    """Return arguments for `router.post`. The arguments describe a route that starts runs, for the OpenAPI document.

    `answer`, `body` and `query` are the schemas of the route. `required`: whether a request must have a body.
    """
    return {
        "response_model": answer,
        "responses": {
            200: {"description": "Every run has ended. `status` says whether the runs succeeded."},
            202: {"description": "Runs were started, and have not all ended.", "model": answer},
            **error_responses(401, 408, 413, 415, 422, 503),
        },
        "openapi_extra": documentation(body, query, required),
    }


async def run_requested(
    request: Request, response: Response, query: WaitQuery, wanted: Sequence[RunRequest]
) -> list[FollowedRun]:
    """Start the runs, and follow them if the request asks to wait. Set the status of the answer.

    Raises a 503 `Problem` if Dagster does not answer, if it starts no run, or if too many requests wait already.
    """
    runs: DagsterRuns = request.app.state.dagster_runs
    waiting: asyncio.Semaphore = request.app.state.waiting_for_runs
    if query.wait and waiting.locked():
        detail = f"{WAITING} requests wait for their runs already; send the request without wait=true"
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "too-many-waiting", detail, {"Retry-After": "30"})
    # There is no `await` between the check above and this line, so no other request can have taken the free place.
    async with waiting if query.wait else contextlib.nullcontext():
        with explained():
            followed = await start(runs, wanted)
            if query.wait:
                await follow(runs, followed, query.timeout_s, request.is_disconnected)
    response.status_code = HTTPStatus.OK if all(run.ended for run in followed) else HTTPStatus.ACCEPTED
    return followed


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Turn an error of Dagster in the `with` block into a 503 `Problem` that says what to do."""
    kind, wait_s = "no-dagster", "30"
    try:
        yield
        return
    except GoneError:
        raise ClientDisconnect from None
    except FullQueueError as error:
        kind, wait_s, detail = "too-many-runs", "60", f"{error}; send the request again when they have ended"
    except FailingDagsterError as error:
        detail = f"{error}; `thumblab doctor` says what is wrong"
    except NoDagsterError as error:
        detail = f"{error}; start the lab with `thumblab up`, or set THUMBLAB_DAGSTER_URL to the address of its Dagster"
    except DagsterError as error:
        kind, detail = "dagster-refused", str(error)
    except ValidationError:
        kind, detail = "dagster-refused", "the lab's Dagster has another version than the service; restart the lab"
    raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, kind, detail, {"Retry-After": wait_s})


def status_of(runs: Sequence[FollowedRun], query: WaitQuery) -> Status:
    """Return the field `status` of an answer about these runs."""
    if not all(run.ended for run in runs):
        return "running" if query.wait else "started"
    succeeded = sum(run.state == "success" for run in runs)
    return "ok" if succeeded == len(runs) else "partial" if succeeded else "failed"


def common_fields(
    request: Request, runs: Sequence[FollowedRun], status: Status, done: str, unit: str
) -> dict[str, Any]:
    """Return the fields of `RunsOut`. `done` says what the runs do, such as "FAISS indices rebuilt"."""
    dagster_runs: DagsterRuns = request.app.state.dagster_runs
    count = f"({sum(run.state == 'success' for run in runs)}/{len(runs)} {unit})"
    left = sum(not run.ended for run in runs)
    message = {
        "ok": f"{done} successfully {count}",
        "partial": f"{done} in part {count}; `runs` gives the reasons",
        "failed": f"Failed {count}; `runs` gives the reasons",
        "started": f"Runs started: {left}; GET /internal/runs/RUN_ID shows the progress of each",
        "running": f"Runs that have not ended yet: {left} of {len(runs)}; Dagster continues them",
    }[status]
    return {
        "status": status,
        "message": message,
        "timestamp": datetime.now(UTC),
        "runs": [
            RunOut(
                niche=run.request.niche,
                run_id=run.run_id,
                state=run.state,
                reused=run.reused,
                url=None if run.run_id is None else dagster_runs.page(run.run_id),
                reason=run.reason,
            )
            for run in runs
        ],
    }


def changed_items_of(outcome: Outcome | None) -> ChangedItemsOut | None:
    """Return the report of the run of the job `change_index`, or None if the run reported nothing."""
    if outcome is None or "changed_items" not in outcome.output:
        return None
    return ChangedItemsOut.model_validate(outcome.output["changed_items"])


def stats_of(outcome: Outcome | None) -> NicheStats | None:
    """Return the report of the run of a refresh, or None if the run has not ended."""
    if outcome is None:
        return None

    def number(asset: str, name: str) -> int | None:
        value = outcome.materialized.get(asset, {}).get(name)
        return value if isinstance(value, int) else None

    release = outcome.materialized.get("served_index", {}).get("release")
    return NicheStats(
        videos_seen=number("raw_videos", "dagster/row_count"),
        new_videos=number("raw_videos", "new_videos"),
        new_observations=number("raw_videos", "new_observations"),
        images_encoded=number("embeddings", "images_encoded"),
        titles_encoded=number("embeddings", "titles_encoded"),
        num_vectors=number("served_index", "dagster/row_count"),
        release=None if release is None else str(release),
    )
