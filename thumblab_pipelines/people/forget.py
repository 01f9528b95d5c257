"""Forget a person, a face or a picture everywhere: in the tables, in the releases and in the image store."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from thumblab_core.faces.head import remove_heads_of
from thumblab_core.people import forgetting
from thumblab_core.people.records import Forgotten
from thumblab_pipelines.lab import Lab


@dataclass(frozen=True)
class ForgottenEverywhere:
    """What was deleted.

    Attributes:
        faces: number of faces.
        pictures: number of pictures that were deleted from the image store. Those of videos stay.
        heads: ids of the deleted releases of heads, because they had learnt from these faces.
    """

    faces: int
    pictures: int
    heads: list[str]


def forget_person(lab: Lab, cluster_id: str) -> ForgottenEverywhere:
    """Forget a person or an unknown cluster. Raises `UnknownFaceError` if there is no such cluster."""
    return _forget(lab, lambda connection: forgetting.forget_person(connection, cluster_id))


def forget_face(lab: Lab, face_id: str) -> ForgottenEverywhere:
    """Forget one face. Raises `UnknownFaceError` if there is no such face."""
    return _forget(lab, lambda connection: forgetting.forget_face(connection, face_id))


def forget_picture(lab: Lab, sha256: str) -> ForgottenEverywhere:
    """Forget all faces of a picture, and never search it again."""
    return _forget(lab, lambda connection: forgetting.forget_picture(connection, sha256))


def _forget(lab: Lab, forget: Callable[[Connection], Forgotten]) -> ForgottenEverywhere:
    # The rows are deleted first. A training that runs meanwhile notices it when it publishes.
    with lab.engine.begin() as connection:
        forgotten = forget(connection)
    removed = remove_heads_of(lab.releases, forgotten.cluster_keys, forgotten.face_ids)
    pictures = sum(lab.images.remove(sha256) for sha256 in forgotten.unnamed_pictures)
    return ForgottenEverywhere(len(forgotten.face_ids), pictures, removed.removed)
