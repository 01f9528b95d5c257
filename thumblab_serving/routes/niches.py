"""The routes that list, add, retire and restore the niches of the lab. Their key needs the scope `admin`."""

import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, Request

from thumblab_core.errors import LabError
from thumblab_core.niches import NICHE_PATTERN, Niche, NicheConflictError, NicheFile, UnknownNicheError, is_niche_name
from thumblab_core.settings import Settings
from thumblab_serving.http.auth import require
from thumblab_serving.http.lab_requests import body_of
from thumblab_serving.http.problems import Problem, error_responses
from thumblab_serving.http.queries import path_documentation
from thumblab_serving.http.received import invalid
from thumblab_serving.loading.database import NoDatabaseError
from thumblab_serving.routes.no_database import no_database
from thumblab_serving.schemas.lab import NicheOut, NicheRequest, NichesOut
from thumblab_serving.scoring.scorer import Scorer

if TYPE_CHECKING:  # Only type checkers import SQLAlchemy here, because the import is slow.
    from sqlalchemy import Connection

router = APIRouter(tags=["library"], dependencies=[Depends(require("admin"))])

T = TypeVar("T")

_log = logging.getLogger("thumblab_serving")

_PATH = "/api/v1/niches"
_NAME: dict[str, Any] = {"parameters": [path_documentation("name", pattern=NICHE_PATTERN)]}


@router.get(_PATH, summary="The niches of the lab", responses=error_responses(401, 503))
async def niches(request: Request) -> NichesOut:
    """List the niches, also the retired ones, with their categories, searches and channels."""

    def read(connection: "Connection") -> list[Niche]:
        from thumblab_core.niches.store import all_niches

        return all_niches(connection, retired=True)

    scorer: Scorer = request.app.state.scorer
    return NichesOut(niches=[_shown(niche) for niche in await _run(request, lambda: scorer.database.read(read))])


@router.post(
    _PATH,
    summary="Add a niche",
    status_code=HTTPStatus.CREATED,
    responses=error_responses(401, 408, 409, 413, 415, 422, 503),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/NicheRequest"}}},
        }
    },
)
async def add(request: Request) -> NicheOut:
    """The service takes requests for the niche from now on, and Dagster shows it within half a minute. The next refresh
    collects, indexes and serves it.
    """
    body = await body_of(request, NicheRequest)
    given = Niche(
        body.name,
        body.category_id,
        body.region,
        body.language,
        tuple(body.searches),
        tuple(body.channels),
        tuple(body.exclude),
    )

    def store(connection: "Connection") -> Niche:
        from thumblab_core.niches.store import insert_niche

        return insert_niche(connection, given)

    return _shown(await _change(request, store))


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

    return _shown(await _change(request, store))


@router.post(
    f"{_PATH}/{{name}}/restore",
    summary="Take up a retired niche again",
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

    return _shown(await _change(request, store))


def _name(request: Request) -> str:
    name = str(request.path_params["name"])
    if not is_niche_name(name):
        settings: Settings = request.app.state.settings
        raise Problem(
            HTTPStatus.NOT_FOUND, "not-found", str(UnknownNicheError(name, NicheFile(settings.data_dir).names))
        )
    return name


async def _change(request: Request, work: "Callable[[Connection], T]") -> T:
    """Return the result of `work`, which changes the table of niches. Then write the file that the workers read.

    If the file cannot be written, the change is still made. The sensor `niches` of Dagster then writes the file.
    """
    scorer: Scorer = request.app.state.scorer
    settings: Settings = request.app.state.settings

    def change() -> T:
        from thumblab_core.niches.store import write_niche_file

        result = scorer.database.write(work)
        try:
            scorer.database.ask(lambda engine: write_niche_file(engine, settings.data_dir))
        except LabError as error:
            _log.warning("the niches were changed, and the workers follow when Dagster has written the list: %s", error)
        return result

    return await _run(request, change)


async def _run(request: Request, work: Callable[[], T]) -> T:
    """Return the result of `work`, which runs in a thread. Raises a `Problem` for an error of the lab."""
    limiter: CapacityLimiter = request.app.state.library_limiter
    scorer: Scorer = request.app.state.scorer
    try:
        return await to_thread.run_sync(work, limiter=limiter)
    except NoDatabaseError as error:
        raise no_database("the niches are in the lab's database", error, scorer.database) from None
    except UnknownNicheError as error:
        raise Problem(HTTPStatus.NOT_FOUND, "not-found", str(error)) from None
    except NicheConflictError as error:
        raise Problem(HTTPStatus.CONFLICT, "conflict", str(error)) from None
    except LabError as error:
        raise invalid(str(error)) from None


def _shown(niche: Niche) -> NicheOut:
    assert niche.added_at is not None
    return NicheOut(
        name=niche.name,
        category_id=niche.category_id,
        region=niche.region,
        language=niche.language,
        searches=list(niche.searches),
        channels=list(niche.channels),
        exclude=list(niche.exclude),
        added_at=niche.added_at,
        retired_at=niche.retired_at,
    )
