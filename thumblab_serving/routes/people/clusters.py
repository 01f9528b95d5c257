"""The routes that list clusters of faces, name them, merge them, and undo changes."""

from typing import Any

from fastapi import APIRouter, Depends, Request

from thumblab_serving.http.auth import require
from thumblab_serving.http.lab_requests import body_of
from thumblab_serving.http.problems import error_responses
from thumblab_serving.http.queries import query_documentation, query_of
from thumblab_serving.routes.people.calls import (
    PREFIX,
    call,
    cluster_id_in,
    in_path,
    merge_id_in,
    shown_change,
    shown_cluster,
    shown_face,
)
from thumblab_serving.schemas.people.clusters import (
    FaceChangeOut,
    FaceChangesOut,
    FaceClusterFacesOut,
    FaceClusterOut,
    FaceClustersOut,
    LabelledClusterOut,
)
from thumblab_serving.schemas.people.people_requests import (
    ChangesQuery,
    ClustersQuery,
    LabelRequest,
    MergeRequest,
    OwnerRequest,
    PartQuery,
    UndoRequest,
)
from thumblab_serving.schemas.strict import StrictModel

router = APIRouter(tags=["people"], dependencies=[Depends(require("admin"))])


def changing(
    answer: type[StrictModel], body: type[StrictModel], *in_paths: str, required: bool = False
) -> dict[str, Any]:
    """Return arguments for `router.post`. The arguments describe a route that changes something and reads a request
    body."""
    schema = {"$ref": f"#/components/schemas/{body.__name__}"}
    return {
        "response_model": answer,
        "responses": error_responses(401, 404, 408, 409, 413, 415, 422, 503),
        "openapi_extra": {
            "parameters": [in_path(name) for name in in_paths],
            "requestBody": {"required": required, "content": {"application/json": {"schema": schema}}},
        },
    }


@router.get(
    f"{PREFIX}/clusters",
    summary="The clusters of faces, the largest first",
    response_model=FaceClustersOut,
    responses=error_responses(401, 422, 503),
    openapi_extra={"parameters": query_documentation(ClustersQuery)},
)
async def clusters(request: Request) -> FaceClustersOut:
    """A cluster that a person has named is a person. An unknown cluster without faces is left out."""
    query = query_of(request, ClustersQuery)
    page = await call(request, lambda people: people.clusters(query.limit, query.offset, query.kind))
    return FaceClustersOut(total=page.total, clusters=[shown_cluster(cluster) for cluster in page.clusters])


@router.get(
    f"{PREFIX}/clusters/{{cluster_id}}",
    summary="A cluster with its faces, from the best quality to the worst",
    response_model=FaceClusterFacesOut,
    responses=error_responses(401, 404, 422, 503),
    openapi_extra={"parameters": [in_path("cluster_id"), *query_documentation(PartQuery)]},
)
async def cluster(request: Request) -> FaceClusterFacesOut:
    """If the cluster was merged into another cluster, the answer is the other cluster."""
    query = query_of(request, PartQuery)
    page = await call(request, lambda people: people.cluster(cluster_id_in(request), query.limit, query.offset))
    return FaceClusterFacesOut(**dict(shown_cluster(page.cluster)), members=[shown_face(face) for face in page.faces])


@router.post(
    f"{PREFIX}/clusters/{{cluster_id}}/label",
    summary="Give a cluster the name of a person",
    **changing(LabelledClusterOut, LabelRequest, "cluster_id", required=True),
)
async def label(request: Request) -> LabelledClusterOut:
    """After this request, the lab does not move the faces that the cluster has now. If a person has this name already,
    the cluster is merged into this person, and the answer is the person (`merged`). With `"merge": false`, the request
    is refused instead (409, `known-name`). Upper and lower case count as equal.
    """
    body = await body_of(request, LabelRequest)
    labelled, merge_id = await call(request, lambda people: people.label(cluster_id_in(request), body.name, body.merge))
    return LabelledClusterOut(**dict(shown_cluster(labelled)), merged=merge_id is not None, merge_id=merge_id)


@router.delete(
    f"{PREFIX}/clusters/{{cluster_id}}/label",
    summary="Remove the name of a cluster",
    response_model=FaceClusterOut,
    responses=error_responses(401, 404, 503),
    openapi_extra={"parameters": [in_path("cluster_id")]},
)
async def unlabel(request: Request) -> FaceClusterOut:
    """The faces stay in the cluster."""
    return shown_cluster(await call(request, lambda people: people.unlabel(cluster_id_in(request))))


@router.post(
    f"{PREFIX}/clusters/{{cluster_id}}/owner",
    summary="Say whether the person of a cluster is the owner of a channel",
    **changing(FaceClusterOut, OwnerRequest, "cluster_id"),
)
async def owner(request: Request) -> FaceClusterOut:
    """The cluster must have a name."""
    body = await body_of(request, OwnerRequest)
    return shown_cluster(await call(request, lambda people: people.set_owner(cluster_id_in(request), body.is_owner)))


@router.post(
    f"{PREFIX}/clusters/{{cluster_id}}/merge",
    summary="Merge a cluster into another cluster",
    **changing(FaceClusterOut, MergeRequest, "cluster_id", required=True),
)
async def merge(request: Request) -> FaceClusterOut:
    """If only one of the two clusters has a name, this name stays. If both have a name, the name of `into` stays.

    Two faces in one picture are different people. Clusters that both have a face in the same picture are therefore not
    merged (409).
    """
    body = await body_of(request, MergeRequest)
    return shown_cluster(await call(request, lambda people: people.merge(cluster_id_in(request), body.into)))


@router.post(
    f"{PREFIX}/merges/{{merge_id}}/undo",
    summary="Undo a merge, even if later changes were made",
    response_model=FaceClusterOut,
    responses=error_responses(401, 404, 503),
    openapi_extra={"parameters": [in_path("merge_id")]},
)
async def unmerge(request: Request) -> FaceClusterOut:
    """The answer is the merged cluster, which gets its faces and its name back. `merge_id` is a `change_id` of
    `GET /api/v1/faces/changes`. Faces that were moved to another cluster after the merge stay there.
    """
    merge_id = merge_id_in(request)
    return shown_cluster(await call(request, lambda people: people.unmerge(merge_id)))


@router.get(
    f"{PREFIX}/changes",
    summary="The changes that people made by hand, from the latest to the oldest",
    response_model=FaceChangesOut,
    responses=error_responses(401, 422, 503),
    openapi_extra={"parameters": query_documentation(ChangesQuery)},
)
async def changes(request: Request) -> FaceChangesOut:
    """Changes that were undone are left out."""
    query = query_of(request, ChangesQuery)
    kind = None if query.kind == "all" else query.kind
    listed = await call(request, lambda people: people.changes(query.limit, kind))
    return FaceChangesOut(changes=[shown_change(change) for change in listed])


@router.post(f"{PREFIX}/undo", summary="Undo the latest change", **changing(FaceChangeOut, UndoRequest))
async def undo(request: Request) -> FaceChangeOut:
    """The answer is the change that was undone. Deleted faces and people do not come back."""
    body = await body_of(request, UndoRequest)
    return shown_change(await call(request, lambda people: people.undo(body.change_id)))
