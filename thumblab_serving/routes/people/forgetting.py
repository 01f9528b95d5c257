"""The routes that delete people and faces permanently. They also work while the search for people is turned off."""

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Depends, Request

from thumblab_serving.http.auth import require
from thumblab_serving.http.problems import error_responses
from thumblab_serving.routes.people.calls import PREFIX, call, cluster_id_in, in_path, sha256_in
from thumblab_serving.schemas.people.clusters import ForgottenOut

if TYPE_CHECKING:  # Only type checkers import this module here, because it imports SQLAlchemy, which is slow.
    from thumblab_core.people.forgetting_everywhere import ForgottenEverywhere

router = APIRouter(tags=["people"], dependencies=[Depends(require("admin"))])


def _described(parameter: str) -> dict[str, Any]:
    return {
        "response_model": ForgottenOut,
        "responses": error_responses(401, 404, 503),
        "openapi_extra": {"parameters": [in_path(parameter)]},
    }


@router.delete(
    f"{PREFIX}/people/{{cluster_id}}", summary="Forget a person or an unknown cluster", **_described("cluster_id")
)
async def person(request: Request) -> ForgottenOut:
    """Deletes the faces with their vectors, the name (also in old changes), and every trained head that learnt from the
    faces. Later searches leave these faces out. The deletion cannot be undone.
    """
    return _shown(await call(request, lambda people: people.forget_person(cluster_id_in(request))))


@router.delete(f"{PREFIX}/{{face_id:face_id}}", summary="Forget a face", **_described("face_id"))
async def face(request: Request) -> ForgottenOut:
    """Deletes the face and every trained head that learnt from it. Later searches leave the face out. The deletion
    cannot be undone.
    """
    face_id = str(request.path_params["face_id"])
    return _shown(await call(request, lambda people: people.forget_face(face_id)))


@router.delete(f"{PREFIX}/pictures/{{sha256}}", summary="Forget all faces of a picture", **_described("sha256"))
async def picture(request: Request) -> ForgottenOut:
    """The picture is never searched for faces again. The picture stays in the lab if a video shows the picture. The
    deletion of the faces cannot be undone.
    """
    sha256 = sha256_in(request)
    return _shown(await call(request, lambda people: people.forget_picture(sha256)))


def _shown(forgotten: "ForgottenEverywhere") -> ForgottenOut:
    return ForgottenOut(faces=forgotten.faces, pictures=forgotten.pictures, heads=forgotten.heads)
