"""Forget a person, a face or a picture everywhere: in the tables, in the releases and in the image store."""

from collections.abc import Callable

from sqlalchemy import Connection

from thumblab_core.people import forgetting
from thumblab_core.people.forgetting_everywhere import ForgottenEverywhere, Removed, forget_everywhere
from thumblab_core.people.records import Forgotten
from thumblab_pipelines.lab import Lab


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
    def in_transaction(work: Callable[[Connection], Removed]) -> Removed:
        with lab.engine.begin() as connection:
            return work(connection)

    return forget_everywhere(in_transaction, forget, lab.releases, lab.images)
