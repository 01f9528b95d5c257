"""The routes that show faces and figures, and move faces."""

import base64
from typing import Any

from fastapi import APIRouter, Depends, Request, Response

from thumblab_core.settings import Settings
from thumblab_serving.http.auth import require
from thumblab_serving.http.lab_requests import body_of
from thumblab_serving.http.problems import error_responses
from thumblab_serving.http.queries import lists_in_query, query_documentation, query_of
from thumblab_serving.routes.people.calls import (
    PREFIX,
    call,
    cluster_id_in,
    in_path,
    sha256_in,
    shown_cluster,
    shown_face,
    shown_picture,
    video_id_in,
)
from thumblab_serving.routes.people.clusters import changing
from thumblab_serving.schemas.people.clusters import (
    FaceClusterOut,
    FaceCropOut,
    FaceCropsOut,
    NearFaceOut,
    NearFacesOut,
    PictureFacesOut,
    StoredFaceOut,
    UnassignedFacesOut,
)
from thumblab_serving.schemas.people.people_figures import (
    PeopleStatsOut,
    PersonPictureOut,
    PersonPicturesOut,
    PersonShareOut,
)
from thumblab_serving.schemas.people.people_requests import (
    CropsQuery,
    MoveFaceRequest,
    MoveFacesRequest,
    NearestQuery,
    NotThisPersonRequest,
    PartQuery,
)

router = APIRouter(tags=["people"], dependencies=[Depends(require("admin"))])


def _jpeg(description: str, *errors: int) -> dict[int | str, Any]:
    """Describe the answers of a route that sends a picture, for the OpenAPI document."""
    answer = {
        "description": description,
        "content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}},
        "headers": {"Cache-Control": {"schema": {"type": "string"}, "description": "`no-store`"}},
    }
    return {200: answer, **error_responses(*errors)}


@router.get(
    f"{PREFIX}/stats",
    summary="How many faces and people the lab knows",
    response_model=PeopleStatsOut,
    responses=error_responses(401, 503),
)
async def stats(request: Request) -> PeopleStatsOut:
    """The share of a person is the fraction of the present thumbnails that show the person. The share does not show
    whether the person brings more views.
    """
    settings: Settings = request.app.state.settings
    figures = await call(request, lambda people: people.statistics())
    shares = [
        PersonShareOut(
            person=shown_cluster(each.cluster), thumbnails=each.thumbnails, searched=each.searched, share=each.share
        )
        for each in figures.shares
    ]
    return PeopleStatsOut.model_validate(vars(figures) | {"mode": settings.people, "shares": shares})


@router.get(
    f"{PREFIX}/unassigned",
    summary="The faces that are in no cluster",
    response_model=UnassignedFacesOut,
    responses=error_responses(401, 422, 503),
    openapi_extra={"parameters": query_documentation(PartQuery)},
)
async def unassigned(request: Request) -> UnassignedFacesOut:
    """The faces of best quality come first."""
    query = query_of(request, PartQuery)
    found = await call(request, lambda people: people.unassigned(query.limit, query.offset))
    return UnassignedFacesOut(faces=[shown_face(face) for face in found])


@router.get(
    f"{PREFIX}/pictures/{{sha256}}",
    summary="The faces of a stored picture",
    response_model=PictureFacesOut,
    responses=error_responses(401, 404, 503),
    openapi_extra={"parameters": [in_path("sha256")]},
)
async def picture(request: Request) -> PictureFacesOut:
    """If the picture was not searched for faces, the answer has the status 404."""
    sha256 = sha256_in(request)
    found, shown_in = await call(request, lambda people: people.faces_of_picture(sha256))
    return shown_picture(sha256, None, found, shown_in)


@router.get(
    f"{PREFIX}/pictures/{{sha256}}/image",
    summary="A stored picture that was searched for faces",
    response_class=Response,
    responses=_jpeg("A JPEG, at most 1,280 pixels wide and high.", 401, 404, 503),
    openapi_extra={"parameters": [in_path("sha256")]},
)
async def image(request: Request) -> Response:
    """The whole picture shows what is around a face. Browsers must not keep the picture."""
    sha256 = sha256_in(request)
    data = await call(request, lambda people: people.picture(sha256), "crops_limiter")
    return Response(data, media_type="image/jpeg")


@router.get(
    f"{PREFIX}/videos/{{video_id}}",
    summary="The faces of the present thumbnail of a video",
    response_model=PictureFacesOut,
    responses=error_responses(401, 404, 503),
    openapi_extra={"parameters": [in_path("video_id")]},
)
async def video(request: Request) -> PictureFacesOut:
    """If the thumbnail was not searched for faces, the answer has the status 404."""
    video_id = video_id_in(request)
    sha256, found, shown_in = await call(request, lambda people: people.faces_of_video(video_id))
    return shown_picture(sha256, video_id, found, shown_in)


@router.get(
    f"{PREFIX}/people/{{cluster_id}}/pictures",
    summary="The pictures that show a person",
    response_model=PersonPicturesOut,
    responses=error_responses(401, 404, 422, 503),
    openapi_extra={"parameters": [in_path("cluster_id"), *query_documentation(PartQuery)]},
)
async def pictures(request: Request) -> PersonPicturesOut:
    """A picture is listed once for each video that shows or showed the picture. The id may also be the id of an unknown
    cluster.
    """
    query = query_of(request, PartQuery)
    found = await call(
        request, lambda people: people.pictures_of_person(cluster_id_in(request), query.limit, query.offset)
    )
    return PersonPicturesOut(pictures=[PersonPictureOut.model_validate(vars(each)) for each in found])


@router.post(
    f"{PREFIX}/move",
    summary="Put several faces in a cluster, or in a new cluster",
    **changing(FaceClusterOut, MoveFacesRequest, required=True),
)
async def move_several(request: Request) -> FaceClusterOut:
    """After this request, the lab never moves these faces by itself. The request moves all faces or none. No two faces
    may be from the same picture.
    """
    body = await body_of(request, MoveFacesRequest)
    return shown_cluster(await call(request, lambda people: people.move(body.faces, body.to)))


@router.get(
    f"{PREFIX}/{{face_id:face_id}}",
    summary="A face",
    response_model=StoredFaceOut,
    responses=error_responses(401, 404, 503),
    openapi_extra={"parameters": [in_path("face_id")]},
)
async def face(request: Request) -> StoredFaceOut:
    """The answer contains the face's picture, the face's place in the picture, and the face's cluster."""
    return shown_face(await call(request, lambda people: people.face(_face_id(request))))


@router.get(
    f"{PREFIX}/{{face_id:face_id}}/nearest",
    summary="The faces that look most like a given face",
    response_model=NearFacesOut,
    responses=error_responses(401, 404, 422, 503),
    openapi_extra={"parameters": [in_path("face_id"), *query_documentation(NearestQuery)]},
)
async def nearest(request: Request) -> NearFacesOut:
    """The face is compared with every other face, so no similar face is missed. A face without a vector is refused
    (422).
    """
    query = query_of(request, NearestQuery)
    found = await call(request, lambda people: people.nearest(_face_id(request), query.limit))
    return NearFacesOut(faces=[NearFaceOut(**dict(shown_face(each.face)), cosine=each.cosine) for each in found])


@router.get(
    f"{PREFIX}/{{face_id:face_id}}/crop",
    summary="A face as a picture of 112x112 pixels",
    response_class=Response,
    responses=_jpeg("A JPEG, cut out of the stored picture. No crop is stored anywhere.", 401, 404, 503),
    openapi_extra={"parameters": [in_path("face_id")]},
)
async def crop(request: Request) -> Response:
    """Browsers must not keep this picture, so that a deleted face does not stay in a browser."""
    data = await call(request, lambda people: people.crop(_face_id(request)), "crops_limiter")
    return Response(data, media_type="image/jpeg")


@router.get(
    f"{PREFIX}/crops",
    summary="Several faces as pictures of 112x112 pixels",
    response_model=FaceCropsOut,
    responses=error_responses(401, 422, 503),
    openapi_extra={"parameters": [{**query_documentation(CropsQuery)[0], "required": True}]},
)
async def crops(request: Request) -> FaceCropsOut:
    """Give `face_id` once for each face, at most 24. One request for many faces takes less time than one request for
    each face.
    """
    wanted = list(dict.fromkeys(lists_in_query(request, CropsQuery).face_id))
    found = await call(request, lambda people: people.crops(wanted), "crops_limiter")
    return FaceCropsOut(
        crops=[
            FaceCropOut(face_id=face_id, image_base64=base64.b64encode(found[face_id]).decode())
            for face_id in wanted
            if face_id in found
        ],
        missing=[face_id for face_id in wanted if face_id not in found],
    )


@router.post(
    f"{PREFIX}/{{face_id:face_id}}/move",
    summary="Put a face in a cluster, or in a new cluster",
    **changing(FaceClusterOut, MoveFaceRequest, "face_id"),
)
async def move(request: Request) -> FaceClusterOut:
    """After this request, the lab never moves this face by itself. The cluster may already have another face of the
    same picture. If the lab put the other face into the cluster, the lab takes this other face out. If a person put the
    other face into the cluster, nothing is changed (409).
    """
    body = await body_of(request, MoveFaceRequest)
    return shown_cluster(await call(request, lambda people: people.move([_face_id(request)], body.to)))


@router.post(
    f"{PREFIX}/{{face_id:face_id}}/not-this-person",
    summary="Take a face out of a cluster, and keep it out",
    **changing(FaceClusterOut, NotThisPersonRequest, "face_id"),
)
async def not_this_person(request: Request) -> FaceClusterOut:
    """The answer is the cluster. If the request is repeated, nothing changes."""
    body = await body_of(request, NotThisPersonRequest)
    return shown_cluster(await call(request, lambda people: people.not_this_person(_face_id(request), body.cluster_id)))


def _face_id(request: Request) -> str:
    return str(request.path_params["face_id"])
