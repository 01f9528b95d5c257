"""The routes that find faces, group them and train the matching head. Each route starts a job of Dagster."""

from http import HTTPStatus
from typing import Any, TypeVar

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel

from thumblab_core.settings import Settings
from thumblab_serving.dagster_runs.following import FollowedRun
from thumblab_serving.dagster_runs.runs import Outcome, RunRequest
from thumblab_serving.http.auth import require
from thumblab_serving.http.lab_requests import body_of
from thumblab_serving.http.problems import Problem, error_responses
from thumblab_serving.http.queries import query_of
from thumblab_serving.http.received import niches_of_lab
from thumblab_serving.routes.people.calls import PREFIX
from thumblab_serving.routes.requested_runs import common_fields, documented, run_requested, status_of
from thumblab_serving.schemas.lab_runs import WaitQuery
from thumblab_serving.schemas.people.people_figures import (
    DetectedFacesOut,
    GroupedFacesOut,
    PeopleRunOut,
    TrainingResultOut,
)
from thumblab_serving.schemas.people.people_requests import ClusterFacesRequest, DetectFacesRequest, TrainFacesRequest
from thumblab_serving.schemas.people.people_runs import DetectionOut, GroupingOut, TrainingOut
from thumblab_serving.schemas.strict import StrictModel

Out = TypeVar("Out", bound=StrictModel)

router = APIRouter(tags=["people"], dependencies=[Depends(require("admin"))])

JOBS = ("find_faces", "group_people", "train_people")
"""Dagster's jobs that find faces, group faces, and train a head on the faces of known people."""

_OFF = (
    "the lab looks for no people; set THUMBLAB_PEOPLE=own for the thumbnails of your own channels, or THUMBLAB_PEOPLE=all, "
    "and restart the lab. Read docs/people.md about consent first"
)


def _described(answer: type[BaseModel], body: type[StrictModel]) -> dict[str, Any]:
    described = documented(answer, body, WaitQuery)
    return described | {"responses": described["responses"] | error_responses(409)}


@router.post(
    f"{PREFIX}/cluster/dual",
    summary="Match faces to named people, and group all other faces",
    **_described(GroupingOut, ClusterFacesRequest),
)
async def cluster(request: Request, response: Response) -> GroupingOut:
    """Start the job `group_people`. With `queue: false`, answer when the run has ended.

    The changes that a person made stay: names, moved faces, and faces that are "not this person".
    """
    query, body = query_of(request, WaitQuery), await body_of(request, ClusterFacesRequest)
    query = _waiting(query, body.queue)
    run = await _one_run(request, response, query, "group_people", "face_clusters", body)
    return GroupingOut(
        **common_fields(request, [run], status_of([run], query), "Faces grouped", "runs"),
        run_id=run.run_id,
        result=_reported(run, "face_clusters", GroupedFacesOut),
    )


@router.post(
    f"{PREFIX}/train",
    summary="Train the matching head on named people, then group the faces again",
    **_described(TrainingOut, TrainFacesRequest),
)
async def train(request: Request, response: Response) -> TrainingOut:
    """Start the job `train_people`. With `queue: false`, answer when the run has ended.

    The training needs five or more people with enough labelled faces. The trained head is served only if it is at least
    as good as the plain vectors at matching faces of people on whom it was not trained.
    """
    query, body = query_of(request, WaitQuery), await body_of(request, TrainFacesRequest)
    query = _waiting(query, body.queue)
    run = await _one_run(request, response, query, "train_people", "matching_head", body)
    return TrainingOut(
        **common_fields(request, [run], status_of([run], query), "Matching head trained", "runs"),
        run_id=run.run_id,
        result=_reported(run, "matching_head", TrainingResultOut),
        grouped=_reported(run, "face_clusters", GroupedFacesOut),
    )


@router.post(
    f"{PREFIX}/detect",
    summary="Find and embed the faces of thumbnails",
    **_described(DetectionOut, DetectFacesRequest),
)
async def detect(request: Request, response: Response) -> DetectionOut:
    """Start the job `find_faces` for the niche, or for each niche. With `queue: false`, answer when the runs have ended.

    A picture that the present face models have searched is not searched again. A run that waits already in Dagster is
    not started a second time.
    """
    query, body = query_of(request, WaitQuery), await body_of(request, DetectFacesRequest)
    _require_on(request)
    query = _waiting(query, body.queue)
    niches = niches_of_lab(request) if body.niche is None else [body.niche]
    runs = await run_requested(request, response, query, [RunRequest("find_faces", niche) for niche in niches])
    return DetectionOut(
        **common_fields(request, runs, status_of(runs, query), "Faces found", "niches"),
        results={str(run.request.niche): _reported(run, "faces", DetectedFacesOut) for run in runs},
    )


def _require_on(request: Request) -> None:
    """Raise a 409 `Problem` if the search for people is turned off."""
    settings: Settings = request.app.state.settings
    if settings.people == "off":
        raise Problem(HTTPStatus.CONFLICT, "people-off", _OFF)


def _waiting(query: WaitQuery, queue: bool) -> WaitQuery:
    return query if queue else query.model_copy(update={"wait": True})


async def _one_run(
    request: Request, response: Response, query: WaitQuery, job: str, asset: str, body: StrictModel
) -> FollowedRun:
    """Start a job, and follow its run if the request asks to wait. The fields in `body` become the config of `asset`."""
    _require_on(request)
    given = body.model_dump(exclude={"queue"}, exclude_none=True)
    config = {"ops": {asset: {"config": given}}} if given else {}
    [run] = await run_requested(request, response, query, [RunRequest(job, config=config)])
    return run


def people_figures(job: str, outcome: Outcome | None) -> PeopleRunOut | None:
    """Return the report of a run of a job about people. Return None for other jobs, and for a run that has not ended."""
    if job not in JOBS or outcome is None:
        return None
    return PeopleRunOut(
        detected=_figures(outcome, "faces", DetectedFacesOut),
        trained=_figures(outcome, "matching_head", TrainingResultOut),
        grouped=_figures(outcome, "face_clusters", GroupedFacesOut),
    )


def _reported(run: FollowedRun, asset: str, model: type[Out]) -> Out | None:
    """Return the report of a run about an asset, or None if the run did not succeed or reported nothing."""
    return _figures(run.outcome, asset, model) if run.succeeded else None


def _figures(outcome: Outcome | None, asset: str, model: type[Out]) -> Out | None:
    values = None if outcome is None else outcome.materialized.get(asset)
    if values is None:
        return None
    named = values | {"faces": values.get("faces", values.get("dagster/row_count"))}
    return model.model_validate({name: named.get(name) for name in model.model_fields})
