"""The routes that list, add, change, retire, restore and propose niches. Their key needs the scope `admin`."""

import logging
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, Request, Response

from thumblab_core.errors import LabError
from thumblab_core.niches import NICHE_PATTERN, Niche, NicheConflictError, NicheFile, UnknownNicheError, is_niche_name
from thumblab_core.settings import Settings
from thumblab_serving.http.auth import require
from thumblab_serving.http.lab_requests import body_of
from thumblab_serving.http.problems import Problem, error_responses
from thumblab_serving.http.queries import path_documentation
from thumblab_serving.http.received import invalid
from thumblab_serving.loading.database import NoDatabaseError, ServiceDatabase
from thumblab_serving.routes.no_database import no_database
from thumblab_serving.schemas.lab import (
    NearChannelOut,
    NewNiche,
    NicheChange,
    NicheCostOut,
    NicheOut,
    NicheSources,
    NichesOut,
    ProposalOut,
    ProposalRequest,
)
from thumblab_serving.schemas.strict import StrictModel
from thumblab_serving.scoring.scorer import Scorer

if TYPE_CHECKING:  # Only type checkers import SQLAlchemy here, because the import is slow.
    from sqlalchemy import Connection

    from thumblab_core.niches.cost import DailyCost

router = APIRouter(tags=["library"], dependencies=[Depends(require("admin"))])

T = TypeVar("T")

_log = logging.getLogger("thumblab_serving")

_PATH = "/api/v1/niches"
_NAME: dict[str, Any] = {"parameters": [path_documentation("name", "The name of the niche.", pattern=NICHE_PATTERN)]}
_ADDED: dict[int | str, dict[str, Any]] = {
    200: {"model": NicheOut, "description": "The niche that would be stored without `dry_run`."},
    201: {"description": "The stored niche."},
}
_CHANGED: dict[int | str, dict[str, Any]] = {200: {"description": "The niche after the change."}}

CONCURRENT_PROPOSALS = 1
"""Maximum number of proposals that are computed at the same time."""

PROPOSAL_SECONDS = 15.0
"""Time limit of each database statement for a proposal. The statements read the titles and vectors of all videos."""


def _body(model: type[StrictModel]) -> dict[str, Any]:
    """Describe a required body as the OpenAPI document needs it."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


@router.get(_PATH, summary="The niches of the lab", responses=error_responses(401, 503))
async def niches(request: Request) -> NichesOut:
    """List all niches, including retired niches. For each niche, say where its videos come from and what a refresh
    costs.
    """

    def read(connection: "Connection") -> list[NicheOut]:
        from thumblab_core.niches.store import all_niches

        return _shown(connection, request, all_niches(connection, retired=True))

    scorer: Scorer = request.app.state.scorer
    return NichesOut(niches=await _run(request, lambda: scorer.database.read(read)))


@router.post(
    _PATH,
    summary="Add a niche",
    status_code=HTTPStatus.CREATED,
    responses=error_responses(401, 408, 409, 413, 415, 422, 503) | _ADDED,
    openapi_extra=_body(NewNiche),
)
async def add(request: Request, response: Response) -> NicheOut:
    """The service accepts requests for the niche at once, and Dagster shows the niche within half a minute. The next
    refresh collects the niche's videos, and builds and serves its index. With `dry_run`, the answer has status 200, and
    nothing is stored.
    """
    body = await body_of(request, NewNiche)
    given = Niche(body.name, **_sources(body))
    if body.dry_run:
        response.status_code = HTTPStatus.OK

    def store(connection: "Connection") -> Niche:
        from thumblab_core.niches.store import insert_niche, require_new

        return require_new(connection, given) if body.dry_run else insert_niche(connection, given)

    return await (_preview if body.dry_run else _change)(request, store)


@router.put(
    f"{_PATH}/{{name}}",
    summary="Change a niche",
    responses=error_responses(401, 404, 408, 409, 413, 415, 422, 503) | _CHANGED,
    openapi_extra=_NAME | _body(NicheChange),
)
async def change(request: Request) -> NicheOut:
    """Replace the sources of the niche's videos. The next refresh uses the new sources. If `version` is out of date
    because somebody else changed the niche, the answer is a 409 with the present state. With `dry_run`, nothing is
    stored.
    """
    name = _name(request)
    body = await body_of(request, NicheChange)
    given = Niche(name, version=body.version, **_sources(body))

    def store(connection: "Connection") -> Niche:
        from thumblab_core.niches.store import require_unchanged, update_niche

        return require_unchanged(connection, given) if body.dry_run else update_niche(connection, given)

    return await (_preview if body.dry_run else _change)(request, store)


@router.post(
    f"{_PATH}/{{name}}/retire",
    summary="Retire a niche and keep its data",
    responses=error_responses(401, 404, 409, 503),
    openapi_extra=_NAME,
)
async def retire_(request: Request) -> NicheOut:
    """The niche is no longer collected, trained on or served. Its videos, pictures and releases stay. To delete them,
    run `thumblab niche retire NICHE --forget` on the lab's machine.
    """
    name = _name(request)

    def store(connection: "Connection") -> Niche:
        from thumblab_core.niches.store import niche_named, retire

        retire(connection, name)
        return niche_named(connection, name)

    return await _change(request, store)


@router.post(
    f"{_PATH}/{{name}}/restore",
    summary="Restore a retired niche",
    responses=error_responses(401, 404, 409, 503),
    openapi_extra=_NAME,
)
async def restore_(request: Request) -> NicheOut:
    """A niche that is not retired stays as it is."""
    name = _name(request)

    def store(connection: "Connection") -> Niche:
        from thumblab_core.niches.store import niche_named, restore

        restore(connection, name)
        return niche_named(connection, name)

    return await _change(request, store)


@router.post(
    f"{_PATH}/proposals",
    summary="Propose a niche from channels or videos",
    responses=error_responses(401, 408, 413, 415, 422, 503),
    openapi_extra=_body(ProposalRequest),
)
async def propose(request: Request) -> ProposalOut:
    """Propose channels and search texts for a niche, and say what the niche costs. The proposed channels are the lab's
    channels that are nearest to the given channels and videos. The request does not use YouTube and changes nothing.
    """
    body = await body_of(request, ProposalRequest)
    if not body.channels and not body.videos:
        raise invalid("give at least one channel or video")
    settings: Settings = request.app.state.settings
    database: ServiceDatabase = request.app.state.proposals

    def read(connection: "Connection") -> ProposalOut:
        from thumblab_core.niches.propose import propose as from_seed

        proposal = from_seed(connection, settings, body.channels, body.videos, body.most_channels)
        return ProposalOut(
            channels=[NearChannelOut(**vars(channel)) for channel in proposal.channels],
            searches=proposal.searches,
            cost=_cost(proposal.cost, settings),
            preview=proposal.preview,
        )

    return await _run(request, lambda: database.read(read), database, request.app.state.proposals_limiter)


def _name(request: Request) -> str:
    name = str(request.path_params["name"])
    if not is_niche_name(name):
        settings: Settings = request.app.state.settings
        raise Problem(
            HTTPStatus.NOT_FOUND, "not-found", str(UnknownNicheError(name, NicheFile(settings.data_dir).names))
        )
    return name


async def _change(request: Request, work: "Callable[[Connection], Niche]") -> NicheOut:
    """Return the niche that `work` has stored in the table of niches. Then write the file that the workers read.

    If the file cannot be written, the change is still made. The sensor `niches` of Dagster then writes the file.
    """
    scorer: Scorer = request.app.state.scorer
    settings: Settings = request.app.state.settings

    def change() -> NicheOut:
        from thumblab_core.niches.store import write_niche_file

        result = scorer.database.write(lambda connection: _shown(connection, request, [work(connection)]))
        try:
            scorer.database.ask(lambda engine: write_niche_file(engine, settings.data_dir))
        except LabError as error:
            _log.warning(
                (
                    "the niches were changed, but the file that the workers read is not written yet; Dagster will write "
                    "it: %s"
                ),
                error,
            )
        return result[0]

    return await _run(request, change)


async def _preview(request: Request, work: "Callable[[Connection], Niche]") -> NicheOut:
    """Return the niche that `work` would store."""
    scorer: Scorer = request.app.state.scorer
    shown = await _run(
        request, lambda: scorer.database.read(lambda connection: _shown(connection, request, [work(connection)]))
    )
    return shown[0]


async def _run(
    request: Request,
    work: Callable[[], T],
    database: ServiceDatabase | None = None,
    limiter: CapacityLimiter | None = None,
) -> T:
    """Return the result of `work`, which runs in a thread. Raises a `Problem` for an error of the lab.

    `database`: the database access that `work` uses; None means the access of the scorer. `limiter`: limits how
    many calls run at the same time; None means the limiter of all requests about the library.
    """
    scorer: Scorer = request.app.state.scorer
    try:
        return await to_thread.run_sync(work, limiter=limiter or request.app.state.library_limiter)
    except NoDatabaseError as error:
        raise no_database("the niches are in the lab's database", error, database or scorer.database) from None
    except UnknownNicheError as error:
        raise Problem(HTTPStatus.NOT_FOUND, "not-found", str(error)) from None
    except NicheConflictError as error:
        raise Problem(HTTPStatus.CONFLICT, "conflict", str(error)) from None
    except LabError as error:
        raise invalid(str(error)) from None


def _sources(body: NicheSources) -> dict[str, Any]:
    """Return where the videos of a niche come from, as arguments of `Niche`."""
    return {
        "category_id": body.category_id,
        "region": body.region,
        "language": body.language,
        "searches": tuple(body.searches),
        "channels": tuple(body.channels),
        "exclude": tuple(body.exclude),
    }


def _shown(connection: "Connection", request: Request, niches: Sequence[Niche]) -> list[NicheOut]:
    """Return the niches as an answer shows them, with the number of their stored videos and with their cost."""
    from thumblab_core.niches.cost import daily_cost
    from thumblab_core.niches.counts import videos_by_niche

    settings: Settings = request.app.state.settings
    counts = videos_by_niche(connection)
    return [
        NicheOut(
            name=niche.name,
            category_id=niche.category_id,
            region=niche.region,
            language=niche.language,
            searches=list(niche.searches),
            channels=list(niche.channels),
            exclude=list(niche.exclude),
            added_at=niche.added_at,
            retired_at=niche.retired_at,
            version=niche.version,
            videos=counts.get(niche.name, 0),
            cost=_cost(daily_cost(niche, settings), settings),
        )
        for niche in niches
    ]


def _cost(cost: "DailyCost", settings: Settings) -> NicheCostOut:
    return NicheCostOut(
        searches=cost.searches,
        quota_searches=settings.quota_searches,
        units=cost.units,
        quota_units=settings.quota_units,
        first_units=cost.first_units,
    )
