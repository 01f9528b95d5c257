"""Forget a person, a face or a picture everywhere: in the tables, in the releases and in the image store."""

from collections.abc import Callable

from sqlalchemy import Connection

from thumblab_core.people import forgetting
from thumblab_core.people.cleaning import delete_face_pictures
from thumblab_core.people.forgetting_everywhere import ForgottenEverywhere, Removed, forget_everywhere
from thumblab_core.people.locking import lock_people
from thumblab_core.people.pictures import Scope, scope_of, unshown
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


def forget_outside(lab: Lab) -> ForgottenEverywhere:
    """Delete the faces of pictures that the setting `people` excludes. Also delete the matching heads that were trained
    on these faces.

    If the setting is `off`, all faces are deleted. If the setting changes later, the faces may be found again. Names
    are kept.
    """
    mode = lab.settings.people
    scope = Scope(channels=(), given=False) if mode == "off" else scope_of(mode, lab.releases)

    def delete(connection: Connection) -> Forgotten:
        lock_people(connection)
        deleted = delete_face_pictures(connection, unshown(connection, scope=scope))
        return Forgotten(face_ids=tuple(deleted))

    return _forget(lab, delete)


def _forget(lab: Lab, forget: Callable[[Connection], Forgotten]) -> ForgottenEverywhere:
    def in_transaction(work: Callable[[Connection], Removed]) -> Removed:
        with lab.engine.begin() as connection:
            return work(connection)

    return forget_everywhere(in_transaction, forget, lab.releases, lab.images)
