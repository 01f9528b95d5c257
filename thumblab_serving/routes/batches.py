"""The routes of `/v1/batches`: store a batch, list, show, cancel and delete batches, and read their results."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, Request, Response
from starlette.responses import StreamingResponse

from thumblab_serving.batches.batch_store import BatchStore, ChangedRequestError, TooLargeBatchError
from thumblab_serving.batches.records import DamagedError
from thumblab_serving.batches.result_table import as_csv, as_json_lines
from thumblab_serving.batches.stored_batch import FullError, StoredBatch
from thumblab_serving.batches.webhooks import WebhookError, Webhooks
from thumblab_serving.batches.worker import BatchWorker
from thumblab_serving.http import batch_submission
from thumblab_serving.http.admission import Admission
from thumblab_serving.http.auth import charge, require, require_key
from thumblab_serving.http.problems import Problem, error_responses
from thumblab_serving.http.received import invalid
from thumblab_serving.keys.key_ring import Grant
from thumblab_serving.schemas.batches import BatchesOut, BatchOut, Place

router = APIRouter(tags=["batches"])

_require_reader = Depends(require("score", account="#batches"))
"""The FastAPI dependency of all routes except the route that stores a batch.

These routes have a separate rate limit. Each item of a batch counts as a request, so after a large batch, a key has to
wait for minutes before it can score again. During this time, the key must be able to request the state of the batch.
"""

CONCURRENT = 4
"""Maximum number of requests about batches that read or write the disk at the same time. Further requests wait."""

_RETRY_S = "60"
_JSON_LINES, _CSV = "application/jsonl", "text/csv; charset=utf-8"

T = TypeVar("T")


@router.post(
    "/v1/batches",
    summary="Store up to 1,000 scoring requests, which are answered later",
    status_code=HTTPStatus.ACCEPTED,
    response_model=BatchOut,
    dependencies=[Depends(require_key)],
    responses={
        202: {
            "description": "The batch is stored. `Location` has its path.",
            "headers": {"Location": {"schema": {"type": "string"}, "description": "The path of the batch."}},
        },
        **error_responses(401, 408, 409, 413, 415, 422, 503),
    },
    openapi_extra=batch_submission.documentation(),
)
async def add(request: Request, response: Response) -> BatchOut:
    """The service answers the items one after the other while no request of `POST /v1/score` waits.

    The batch is on the disk before the answer is sent, and continues after a restart of the service. If the thumbnails
    of an item cannot be read, the result of the item says so, and the other items are scored.

    Each item counts as a request for the rate limit of the key. If the batch was already stored by an earlier request,
    its items are not counted again.
    """
    store: BatchStore = request.app.state.batches
    webhooks: Webhooks = request.app.state.webhooks
    worker: BatchWorker = request.app.state.batch_worker
    admission: Admission = request.app.state.batches_admission
    grant: Grant = request.state.grant
    try:
        async with admission.admit(grant):
            batch, key = await batch_submission.read(request)
            if batch.webhook is not None:
                webhooks.check(batch.webhook)
            more = len(batch.items) - 1  # The request itself is already counted as one item.
            stored, _ = await _run(request, lambda: store.add(batch, grant.owner, key, lambda: charge(request, more)))
    except WebhookError as error:
        raise invalid(f"webhook: {error}") from None
    except ChangedRequestError as error:
        raise Problem(HTTPStatus.CONFLICT, "idempotency-key-reused", str(error)) from None
    except TooLargeBatchError as error:
        raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-large", str(error)) from None
    except FullError as error:
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "busy", str(error), {"Retry-After": _RETRY_S}) from None
    except OSError as error:
        detail = f"the batch cannot be stored ({error.strerror}); check the disk of the lab's data folder"
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "not-stored", detail, {"Retry-After": _RETRY_S}) from None
    worker.wake()
    response.headers["Location"] = f"/v1/batches/{stored.id}"
    return stored


@router.get(
    "/v1/batches",
    summary="List the batches of your API key, the newest first",
    response_model=BatchesOut,
    dependencies=[_require_reader],
    responses=error_responses(401, 422),
    openapi_extra={"parameters": batch_submission.list_documentation()},
)
async def page(request: Request) -> BatchesOut:
    """Return a page of the batches. `next_cursor` leads to the next page. Batches of other keys are not listed."""
    store: BatchStore = request.app.state.batches
    grant: Grant = request.state.grant
    query = batch_submission.list_query(request)
    after = None if query.cursor is None else Place.of(query.cursor)
    found, last = await _run(request, lambda: store.page(grant.owner, query.limit, after))
    return BatchesOut(batches=found, next_cursor=None if last is None else last.cursor)


@router.get(
    "/v1/batches/{batch_id}",
    summary="The state and the progress of a batch",
    response_model=BatchOut,
    dependencies=[_require_reader],
    responses=error_responses(401, 404, 410),
    openapi_extra={"parameters": [batch_submission.ID_DOCUMENTATION]},
)
async def state(request: Request) -> BatchOut:
    """Repeat the request until `state` is `done`, `cancelled` or `deadline_passed`."""
    store: BatchStore = request.app.state.batches
    return await _of_batch(request, store.describe)


@router.post(
    "/v1/batches/{batch_id}/cancel",
    summary="Cancel a batch",
    response_model=BatchOut,
    dependencies=[_require_reader],
    responses=error_responses(401, 404, 410),
    openapi_extra={"parameters": [batch_submission.ID_DOCUMENTATION]},
)
async def cancel(request: Request) -> BatchOut:
    """No further picture is examined. The results so far are kept as usual. If the batch has already ended, nothing
    changes.
    """
    store: BatchStore = request.app.state.batches
    worker: BatchWorker = request.app.state.batch_worker

    def cancelled(batch: StoredBatch) -> BatchOut:
        batch.cancel()
        return store.describe(batch)

    described = await _of_batch(request, cancelled)
    worker.wake()
    return described


@router.delete(
    "/v1/batches/{batch_id}",
    summary="Delete a batch with its results",
    status_code=HTTPStatus.NO_CONTENT,
    dependencies=[_require_reader],
    responses=error_responses(401, 404, 410),
    openapi_extra={"parameters": [batch_submission.ID_DOCUMENTATION]},
)
async def delete(request: Request) -> None:
    """A batch that has not ended is cancelled first, and sends no webhook. Its `Idempotency-Key` can then be used
    again.
    """
    store: BatchStore = request.app.state.batches
    worker: BatchWorker = request.app.state.batch_worker
    await _of_batch(request, store.delete)
    worker.wake()


@router.get(
    "/v1/batches/{batch_id}/results",
    summary="The results of a batch so far",
    response_class=Response,
    dependencies=[_require_reader],
    responses={
        200: {
            "description": "The results of the items that are done, in their order.",
            "content": {
                "application/jsonl": {
                    "schema": {
                        "type": "string",
                        "description": "A line of JSON for each item, in the form of `ItemResult`.",
                    }
                },
                "text/csv": {"schema": {"type": "string"}},
            },
        },
        **error_responses(401, 404, 410, 422),
    },
    openapi_extra={"parameters": batch_submission.results_documentation()},
)
async def results(request: Request) -> Response:
    """Send the results as JSON lines or as CSV. The batch may still be running."""
    wanted = batch_submission.results_query(request).format

    def open_results(batch: StoredBatch) -> Any:
        return as_json_lines(batch.results()) if wanted == "jsonl" else as_csv(batch.results())

    lines = await _of_batch(request, open_results)
    return StreamingResponse(
        lines,
        media_type=_JSON_LINES if wanted == "jsonl" else _CSV,
        headers={"Content-Disposition": f'attachment; filename="results.{wanted}"'},
    )


async def _of_batch(request: Request, work: Callable[[StoredBatch], T]) -> T:
    """Return the result of `work` on the batch whose id is in the path.

    Raises a 404 `Problem` if no such batch exists, or if another key sent it. Raises a 410 `Problem` if the batch is
    damaged.
    """
    store: BatchStore = request.app.state.batches
    grant: Grant = request.state.grant

    def find_and_work() -> T:
        batch = store.find(request.path_params["batch_id"])
        if batch is None or batch.facts.key != grant.owner:
            raise FileNotFoundError
        return work(batch)

    try:
        return await _run(request, find_and_work)
    except FileNotFoundError:
        detail = (
            "this API key has no such batch; the results of a batch are deleted some time after it has ended, and a "
            "batch is shown only to the key that sent it"
        )
        raise Problem(HTTPStatus.NOT_FOUND, "no-such-batch", detail) from None
    except DamagedError as error:
        detail = (
            f"the batch cannot be read any more ({error}); send it again, and check the disk of the lab's data folder"
        )
        raise Problem(HTTPStatus.GONE, "batch-damaged", detail) from None


async def _run(request: Request, work: Callable[[], T]) -> T:
    limiter: CapacityLimiter = request.app.state.batches_limiter
    return await to_thread.run_sync(work, limiter=limiter)
