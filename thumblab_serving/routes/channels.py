"""The routes of `/v1/channels`: add a channel from its exports, show the state of this import, and list the added
channels."""

from collections.abc import Callable
from http import HTTPStatus
from typing import TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, Request, Response

from thumblab_core.releases.release_store import ReleaseStore
from thumblab_serving.channels.added_channels import added_channels
from thumblab_serving.channels.export_store import ExportStore, TooManyImportsError
from thumblab_serving.channels.followed_imports import describe, run_request
from thumblab_serving.dagster_runs.following import start
from thumblab_serving.dagster_runs.runs import DagsterRuns
from thumblab_serving.http import channel_submission
from thumblab_serving.http.admission import Admission
from thumblab_serving.http.auth import require_key
from thumblab_serving.http.problems import Problem, error_responses
from thumblab_serving.keys.key_ring import Grant
from thumblab_serving.routes.requested_runs import explained
from thumblab_serving.schemas.channels import ChannelImportOut, ChannelImportsOut, ChannelsOut

router = APIRouter(tags=["channels"], dependencies=[Depends(require_key)])

CONCURRENT = 2
"""Maximum number of requests that read or write the disk at the same time. Further requests wait."""

_RETRY_S = "60"

T = TypeVar("T")


@router.post(
    "/v1/channels",
    summary="Add a channel from exports of YouTube Studio, and adapt answers to it",
    status_code=HTTPStatus.ACCEPTED,
    response_model=ChannelImportOut,
    responses={
        202: {
            "description": "The exports are stored, and the job `add_channel` was started. See `Location` for its report.",
            "headers": {"Location": {"schema": {"type": "string"}, "description": "The path of the report."}},
        },
        **error_responses(400, 401, 408, 413, 415, 422, 503),
    },
    openapi_extra={"requestBody": channel_submission.documentation()},
)
async def add(request: Request, response: Response) -> ChannelImportOut:
    """The lab imports the videos of the exports, and downloads their thumbnails from YouTube's image host. Then the lab
    fits and serves an adapter for the channel. If no model is served yet, the lab first trains a model on the channel's
    videos.

    The lab's Dagster must run. The exports are deleted when the import has ended. If you send the same exports again,
    the videos that the lab already has do not change.

    A channel belongs to the key with which it was added. A key without the scope `admin` changes only its own channels.
    """
    store: ExportStore = request.app.state.channel_exports
    admission: Admission = request.app.state.channels_admission
    runs: DagsterRuns = request.app.state.dagster_runs
    grant: Grant = request.state.grant
    try:
        async with admission.admit(grant):
            form, exports = await channel_submission.read(request)
            stored, files = await _run(request, lambda: store.add(exports, grant.owner, grant.acts_for is None))
    except TooManyImportsError as error:
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "busy", str(error), {"Retry-After": _RETRY_S}) from None
    except OSError as error:
        detail = f"the exports cannot be stored ({error.strerror}); check the disk of the lab's data folder"
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "not-stored", detail, {"Retry-After": _RETRY_S}) from None
    try:
        with explained():
            followed = await start(runs, [run_request(stored, files, form)])
    except BaseException:
        await _run(request, lambda: store.remove(stored))
        raise
    response.headers["Location"] = f"/v1/channels/runs/{stored.folder.import_id}"
    return _shown(await describe(stored, runs, followed[0].run_id), grant)


@router.get(
    "/v1/channels/runs",
    summary="List the imports that this API key requested",
    response_model=ChannelImportsOut,
    responses=error_responses(401),
)
async def imports(request: Request) -> ChannelImportsOut:
    """If a program has lost the id of an import, it finds the import in this list. For example, a browser tab with the
    id may have been closed.
    """
    store: ExportStore = request.app.state.channel_exports
    runs: DagsterRuns = request.app.state.dagster_runs
    grant: Grant = request.state.grant
    own = await _run(request, lambda: store.of(grant.owner))
    return ChannelImportsOut(imports=[_shown(await describe(stored, runs), grant) for stored in own])


@router.get(
    "/v1/channels/runs/{import_id}",
    summary="The progress of an import, and what the lab has learnt from it",
    response_model=ChannelImportOut,
    responses=error_responses(401, 404),
    openapi_extra={"parameters": [channel_submission.ID_DOCUMENTATION]},
)
async def state(request: Request) -> ChannelImportOut:
    """Repeat the request until `state` is `done` or `failed`. An import is shown only to the key that sent it."""
    store: ExportStore = request.app.state.channel_exports
    runs: DagsterRuns = request.app.state.dagster_runs
    grant: Grant = request.state.grant
    stored = await _run(request, lambda: store.find(request.path_params["import_id"]))
    if stored is None or stored.facts.owner != grant.owner:
        detail = "this API key has no such import; the report on an import is deleted a day after the exports were sent"
        raise Problem(HTTPStatus.NOT_FOUND, "no-such-import", detail)
    return _shown(await describe(stored, runs), grant)


@router.get(
    "/v1/channels",
    summary="The channels that were added",
    response_model=ChannelsOut,
    responses=error_responses(401),
)
async def channels(request: Request) -> ChannelsOut:
    """Every key with the scope `score` sees all added channels, because every such key may score pictures for every
    channel.
    """
    store: ReleaseStore = request.app.state.channel_releases
    return ChannelsOut(channels=await _run(request, lambda: added_channels(store)))


def _shown(described: ChannelImportOut, grant: Grant) -> ChannelImportOut:
    """Return an import as the key may see it. As in `GET /v1/lab`, only a key with the scope `admin` sees the address
    of Dagster.
    """
    return described if "admin" in grant.scopes else described.model_copy(update={"run_url": None})


async def _run(request: Request, work: Callable[[], T]) -> T:
    limiter: CapacityLimiter = request.app.state.channels_limiter
    return await to_thread.run_sync(work, limiter=limiter)
