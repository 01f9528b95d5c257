"""Call the database for the routes about people, and turn the records and errors of the database into answers."""

import re
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, TypeVar

from anyio import CapacityLimiter, move_on_after, to_thread
from fastapi import Request
from starlette.convertors import StringConvertor, register_url_convertor

from thumblab_core.errors import LabError
from thumblab_core.image_store.reading_ahead import UnreadImageError
from thumblab_core.images import ImageError
from thumblab_core.object_store.bucket import StoreError
from thumblab_core.people.errors import BUSY, FaceConflictError, KnownNameError, PeopleBusyError, UnknownFaceError
from thumblab_core.people.names import ANY
from thumblab_core.people.records import Change, Cluster, Face, ShownPicture
from thumblab_serving.http.problems import Problem
from thumblab_serving.http.queries import path_documentation
from thumblab_serving.http.received import invalid
from thumblab_serving.loading.database import NoDatabaseError
from thumblab_serving.loading.library_pictures import NO_STORE
from thumblab_serving.people.stored_people import NotForgottenError, StoredPeople
from thumblab_serving.routes.no_database import no_database
from thumblab_serving.schemas.people.clusters import (
    FaceChangeOut,
    FaceClusterOut,
    PictureFacesOut,
    ShownPictureOut,
    StoredFaceOut,
)

PREFIX = "/api/v1/faces"

CONCURRENT = 3
"""Maximum number of requests that read the database at the same time. Further requests wait."""

CONCURRENT_CHANGES = 1
"""Maximum number of requests that change something at the same time. In the database, changes would wait for each other
anyway. Requests that only read never wait for changes.
"""

CONCURRENT_CROPS = 2
"""Maximum number of requests that cut faces out of pictures at the same time. Further requests wait."""

_RETRY_S = 5
_TURN_S = 5.0  # The seconds that a change waits for earlier changes.
_SHA256 = r"[0-9a-f]{64}"
_CHANGE_ID = r"[1-9][0-9]{0,17}"

T = TypeVar("T")


class _FaceIdConvertor(StringConvertor):
    """Match only the id of a face. So `clusters` in `/api/v1/faces/clusters` is not read as the id of a face."""

    regex = "[0-9a-f]{24}"


register_url_convertor("face_id", _FaceIdConvertor())


async def call(request: Request, work: Callable[[StoredPeople], T], limiter: str = "people_limiter") -> T:
    """Return the result of `work`, which runs in a thread. Raises a `Problem` for an error of the lab.

    A request that reads waits for its turn in the app's limiter with the name `limiter`. A request that changes
    something waits a short time for earlier changes.
    """
    people: StoredPeople = request.app.state.people
    try:
        if request.method not in ("GET", "HEAD"):
            return await _in_turn(request.app.state.people_changes_limiter, lambda: work(people))
        turns: CapacityLimiter = getattr(request.app.state, limiter)
        return await to_thread.run_sync(lambda: work(people), limiter=turns)
    except PeopleBusyError as error:
        headers = {"Retry-After": str(_RETRY_S)}
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "people-busy", str(error), headers) from None
    except NoDatabaseError as error:
        raise no_database("people are in the lab's database", error, people.database) from None
    except UnknownFaceError as error:
        raise Problem(HTTPStatus.NOT_FOUND, "not-found", str(error)) from None
    except KnownNameError as error:
        raise Problem(HTTPStatus.CONFLICT, "known-name", str(error)) from None
    except FaceConflictError as error:
        raise Problem(HTTPStatus.CONFLICT, "face-conflict", str(error)) from None
    except NotForgottenError as error:
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "not-forgotten", str(error), {"Retry-After": "60"}) from None
    except (StoreError, UnreadImageError):
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "no-picture", NO_STORE) from None
    except (ImageError, OSError) as error:
        reason = str(error) if isinstance(error, ImageError) else error.strerror or type(error).__name__
        raise Problem(HTTPStatus.NOT_FOUND, "no-picture", f"the picture cannot be read: {reason}") from None
    except LabError as error:
        raise invalid(str(error)) from None


async def _in_turn(turns: CapacityLimiter, work: Callable[[], T]) -> T:
    """Return the result of `work`. `work` runs in a thread after the earlier changes.

    Raises `PeopleBusyError` if the earlier changes take too long.
    """
    with move_on_after(_TURN_S) as waiting:
        await turns.acquire()
    if waiting.cancelled_caught:
        raise PeopleBusyError(BUSY)
    try:
        return await to_thread.run_sync(work, limiter=CapacityLimiter(1))
    finally:
        turns.release()


def cluster_id_in(request: Request) -> str:
    """Return the id of a cluster in the path. The text is not checked, because every use of the id raises an error if
    no cluster has this id.
    """
    return str(request.path_params["cluster_id"])


def sha256_in(request: Request) -> str:
    """Return the SHA-256 in the path. Raises a 404 `Problem` if the text is not a SHA-256."""
    sha256 = str(request.path_params["sha256"])
    if re.fullmatch(_SHA256, sha256) is None:
        detail = "this is not the SHA-256 of a picture; write 64 hexadecimal digits in small letters"
        raise Problem(HTTPStatus.NOT_FOUND, "not-found", detail)
    return sha256


def merge_id_in(request: Request) -> int:
    """Return the number of a merge in the path. Raises a 404 `Problem` if the text is not such a number."""
    merge_id = str(request.path_params["merge_id"])
    if re.fullmatch(_CHANGE_ID, merge_id) is None:
        detail = f"this is not the number of a merge; GET {PREFIX}/changes?kind=merge lists them"
        raise Problem(HTTPStatus.NOT_FOUND, "not-found", detail)
    return int(merge_id)


def video_id_in(request: Request, unknown: str = "not-found") -> str:
    """Return the id of a video in the path. Raises a 404 `Problem` of the kind `unknown` for a text that cannot be the
    id of a video.
    """
    video_id = str(request.path_params["video_id"])
    if re.fullmatch(r"[^\x00-\x1f\x7f]{1,200}", video_id) is None:
        detail = "the id of a video has 1 to 200 characters, without control characters"
        raise Problem(HTTPStatus.NOT_FOUND, unknown, detail)
    return video_id


def in_path(name: str) -> dict[str, Any]:
    """Describe a parameter in the path, as the OpenAPI document needs it."""
    patterns = {
        "face_id": "^[0-9a-f]{24}$",
        "cluster_id": "^(person_|unknown_cluster_|clu_)?[0-9a-f]{12}$",
        "sha256": f"^{_SHA256}$",
        "merge_id": f"^{_CHANGE_ID}$",
        "video_id": r"^[^\x00-\x1f\x7f/]{1,200}$",
    }
    return path_documentation(name, pattern=patterns[name])


def shown_cluster(cluster: Cluster) -> FaceClusterOut:
    """Return a cluster in the form in which answers show it."""
    return FaceClusterOut(
        cluster_id=cluster.id,
        person_id=None if cluster.name is None else cluster.id,
        kind="unknown" if cluster.name is None else "person",
        name=cluster.name,
        is_owner=cluster.is_owner,
        faces=cluster.faces,
        pictures=cluster.pictures,
        channels=cluster.channels,
        pinned=cluster.pinned,
        samples=list(cluster.samples),
        created_at=cluster.created_at,
    )


def shown_face(face: Face) -> StoredFaceOut:
    """Return a face in the form in which answers show it."""
    return StoredFaceOut(
        face_id=face.face_id,
        sha256=face.sha256,
        box=list(face.box),
        confidence=face.confidence,
        quality=face.quality,
        cluster_id=face.cluster_id,
        name=face.name,
        pinned=face.pinned,
        similarity=face.similarity,
        detected_at=face.detected_at,
    )


def shown_picture(
    sha256: str, video_id: str | None, faces: Sequence[Face], shown_in: Sequence[ShownPicture]
) -> PictureFacesOut:
    """Return a picture with its faces in the form in which answers show it. `video_id` is the video in the request, or
    None.
    """
    return PictureFacesOut(
        sha256=sha256,
        video_id=video_id,
        faces=[shown_face(face) for face in faces],
        shown_in=[ShownPictureOut.model_validate(vars(each)) for each in shown_in],
    )


def shown_change(change: Change) -> FaceChangeOut:
    """Return a change in the form in which answers show it. A cluster may have got or lost its name since the change.
    So the ids of clusters begin with `clu_`, which is valid with and without a name.
    """

    def shown(key: str | None) -> str | None:
        return None if key is None else f"{ANY}{key}"

    return FaceChangeOut(
        change_id=change.change_id,
        kind=change.kind,
        cluster_id=shown(change.cluster_key),
        other_id=shown(change.other_key),
        name=change.name,
        name_before=change.name_before,
        faces=change.faces,
        reverted=change.reverted,
        changed_at=change.changed_at,
    )
