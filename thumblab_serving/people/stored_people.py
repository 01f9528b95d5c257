"""Read and change the faces, clusters and people in the lab's database. To forget them means to delete their data
from the database and from files.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from thumblab_core.errors import LabError
from thumblab_core.image_store import ImageStore
from thumblab_core.image_store.reading_ahead import read_ahead
from thumblab_core.images import ImageError
from thumblab_core.object_store.bucket import StoreError
from thumblab_core.people.errors import FaceConflictError, UnknownFaceError
from thumblab_core.people.records import (
    Change,
    Cluster,
    ClusterPage,
    Face,
    FacePage,
    PeopleStatistics,
    PersonPicture,
    ShownPicture,
)
from thumblab_core.releases.place import polled_place
from thumblab_core.releases.release import ReleaseError
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.settings import Settings
from thumblab_serving.loading.database import ServiceDatabase
from thumblab_serving.loading.library_pictures import NO_STORE
from thumblab_serving.people.face_crops import cropped, whole

if TYPE_CHECKING:  # Only type checkers import SQLAlchemy here, because the import is slow.
    from sqlalchemy import Connection

    from thumblab_core.people.clusters import ClusterRow
    from thumblab_core.people.forgetting_everywhere import ForgottenEverywhere, Removed
    from thumblab_core.people.records import Forgotten
    from thumblab_core.recognition.nearest_faces import NearFace

T = TypeVar("T")

_STATEMENT_SECONDS = 15.0
"""Seconds that a statement may take. The figures of a large lab and the deletion of many faces take long."""

_LOCK_SECONDS = 4.0
"""Seconds that a change waits for another change, or for a run of Dagster that stores its clusters."""


_NO_RELEASES = "the release store cannot be used now; try again later"


class NotForgottenError(LabError):
    """The error that is raised if a file about a forgotten person could not be deleted."""

    transient = True


class StoredPeople:
    """Reads and changes the people of the lab for the service.

    The methods block the calling thread. Many threads may use this object at the same time. All methods raise
    `NoDatabaseError` if the database cannot answer. Each method also raises the errors of the function of
    `thumblab_core.people` that the method calls. A method that changes something waits while another command changes
    people. After a few seconds, the method raises `PeopleBusyError`.

    The object has its own database access. So a slow query about people neither delays the scorer nor stops the queries
    of the scorer.
    """

    def __init__(self, settings: Settings, images: ImageStore) -> None:
        self.database = ServiceDatabase(settings, _STATEMENT_SECONDS)
        self._images = images
        self._releases = ReleaseStore(polled_place(settings))

    def close(self) -> None:
        """Stop the threads and close the connections."""
        self.database.close()

    def clusters(self, limit: int, offset: int, kind: str) -> ClusterPage:
        """Return clusters, the largest first."""
        from thumblab_core.people.reading import list_clusters

        return self.database.read(lambda connection: list_clusters(connection, limit, offset, kind))

    def cluster(self, cluster_id: str, limit: int, offset: int) -> FacePage:
        """Return a cluster with its faces. Faces of the best quality come first."""
        from thumblab_core.people.reading import faces_of_cluster

        return self.database.read(lambda connection: faces_of_cluster(connection, cluster_id, limit, offset))

    def unassigned(self, limit: int, offset: int) -> tuple[Face, ...]:
        """Return the faces that are in no cluster."""
        from thumblab_core.people.reading import faces_in_none

        return self.database.read(lambda connection: faces_in_none(connection, limit, offset))

    def face(self, face_id: str) -> Face:
        """Return the face with this id. Raises `UnknownFaceError` if the lab has no such face."""
        from thumblab_core.people.reading import read_face

        return self.database.read(lambda connection: read_face(connection, face_id))

    def nearest(self, face_id: str, limit: int) -> tuple["NearFace", ...]:
        """Return the faces that look most like the given face, the nearest first."""
        from thumblab_core.recognition.nearest_faces import nearest_faces

        return self.database.read(lambda connection: nearest_faces(connection, face_id, limit))

    def faces_of_picture(self, sha256: str) -> tuple[tuple[Face, ...], tuple[ShownPicture, ...]]:
        """Return the faces of a picture, from left to right, and where the picture is shown."""
        from thumblab_core.people.reading import faces_of_picture
        from thumblab_core.people.where_shown import where_shown

        return self.database.read(
            lambda connection: (faces_of_picture(connection, sha256), where_shown(connection, sha256))
        )

    def faces_of_video(self, video_id: str) -> tuple[str, tuple[Face, ...], tuple[ShownPicture, ...]]:
        """Return the SHA-256 of a video's present thumbnail, the faces in this picture, and where the picture is shown."""
        from thumblab_core.people.reading import faces_of_picture
        from thumblab_core.people.where_shown import where_shown

        def read(connection: "Connection") -> tuple[str, tuple[Face, ...], tuple[ShownPicture, ...]]:
            sha256 = _thumbnail_of(connection, video_id)
            return sha256, faces_of_picture(connection, sha256), where_shown(connection, sha256)

        return self.database.read(read)

    def pictures_of_person(self, cluster_id: str, limit: int, offset: int) -> tuple[PersonPicture, ...]:
        """Return the pictures that show a person. Pictures of the newest videos come first."""
        from thumblab_core.people.reading import pictures_of_person

        return self.database.read(lambda connection: pictures_of_person(connection, cluster_id, limit, offset))

    def statistics(self) -> PeopleStatistics:
        """Return the figures of the lab's faces, clusters and people."""
        from thumblab_core.people.figures import people_statistics

        return self.database.read(people_statistics)

    def changes(self, limit: int, kind: str | None) -> list[Change]:
        """Return the latest changes that a person made and did not take back. The newest change comes first."""
        from thumblab_core.people.log import list_changes

        return self.database.read(lambda connection: list_changes(connection, limit, kind))

    def crop(self, face_id: str) -> bytes:
        """Return a face as a JPEG. Raises `ImageError` or `OSError` if its picture cannot be read."""
        face = self.face(face_id)
        return cropped(self._images.get(face.sha256), face.box)

    def crops(self, face_ids: Sequence[str]) -> dict[str, bytes]:
        """Return a JPEG of each face by the id of the face. Leave out unknown faces, and faces whose picture cannot be
        read.
        """
        from thumblab_core.people.reading import read_faces

        crops = {}
        faces = self.database.read(lambda connection: read_faces(connection, face_ids))
        for face, read in read_ahead(self._images, faces, lambda face: face.sha256):
            with suppress(ImageError, OSError):
                crops[face.face_id] = cropped(read(), face.box)
        return crops

    def picture(self, sha256: str) -> bytes:
        """Return a picture that was searched for faces, as a JPEG.

        Raises `UnknownFaceError` if the picture was not searched, and `ImageError` or `OSError` if it cannot be read.
        """
        from thumblab_core.people.reading import faces_of_picture

        self.database.read(lambda connection: faces_of_picture(connection, sha256))
        return whole(self._images.get(sha256))

    def label(self, cluster_id: str, name: str, may_merge: bool = True) -> tuple[Cluster, int | None]:
        """Give a cluster the name of a person. If a person has this name already, merge the cluster into this person.

        Return the cluster, or the person that it was merged into. The second result is the number of the merge, or None
        if nothing was merged. Raises `KnownNameError` if a person has this name already and `may_merge` is false.
        """
        from thumblab_core.people.clusters import require_cluster
        from thumblab_core.people.log import MERGE, list_changes
        from thumblab_core.people.naming import label
        from thumblab_core.people.reading import read_cluster

        def label_it(connection: "Connection") -> tuple[Cluster, int | None]:
            before = require_cluster(connection, cluster_id).key
            cluster = read_cluster(connection, label(connection, cluster_id, name, may_merge).id)
            merged = cluster.key != before
            return cluster, list_changes(connection, 1, MERGE)[0].change_id if merged else None

        return self._write(label_it)

    def unlabel(self, cluster_id: str) -> Cluster:
        """Remove the name of a cluster."""
        from thumblab_core.people.naming import unlabel

        return self._change(lambda connection: unlabel(connection, cluster_id))

    def set_owner(self, cluster_id: str, is_owner: bool) -> Cluster:
        """Record whether the person of a cluster is the owner of a channel."""
        from thumblab_core.people.naming import set_owner

        return self._change(lambda connection: set_owner(connection, cluster_id, is_owner))

    def merge(self, cluster_id: str, into: str) -> Cluster:
        """Merge a cluster into the cluster `into`. Return the cluster that has all faces after the merge."""
        from thumblab_core.people.naming import merge

        return self._change(lambda connection: merge(connection, cluster_id, into))

    def unmerge(self, merge_id: int) -> Cluster:
        """Undo a merge. Return the cluster that gets its faces back."""
        from thumblab_core.people.undoing import unmerge

        return self._change(lambda connection: unmerge(connection, merge_id))

    def move(self, face_ids: Sequence[str], to: str | None) -> Cluster:
        """Put faces into a cluster, or into a new cluster. Return this cluster."""
        from thumblab_core.people.moving import move

        return self._change(lambda connection: move(connection, face_ids, to))

    def not_this_person(self, face_id: str, cluster_id: str | None) -> Cluster:
        """Take a face out of its cluster, and never put the face into this cluster again. Return the cluster without
        the face.
        """
        from thumblab_core.people.moving import not_this_person

        return self._change(lambda connection: not_this_person(connection, face_id, cluster_id))

    def undo(self, change_id: int | None) -> Change:
        """Undo the latest change.

        Raises `FaceConflictError` if the latest change does not have the number `change_id`. Also raises this error if
        some faces of the change could not be moved back. In this case, all other faces were moved back, and the change
        is no longer in the list.
        """
        from thumblab_core.people.undoing import undo

        def undo_it(connection: "Connection") -> Change:
            change = undo(connection)
            if change_id is not None and change.change_id != change_id:  # This error also rolls back the transaction.
                raise FaceConflictError(
                    f"the latest change is {change.change_id}, not {change_id}; list the changes again before you undo"
                )
            return change

        change = self._write(undo_it)
        if change.conflict is not None:
            raise FaceConflictError(change.conflict)
        return change

    def forget_person(self, cluster_id: str) -> "ForgottenEverywhere":
        """Forget a person, or a cluster without a name, everywhere. Raises `NotForgottenError` if a file cannot be
        deleted.
        """
        from thumblab_core.people.forgetting import forget_person

        return self._forget(lambda connection: forget_person(connection, cluster_id))

    def forget_face(self, face_id: str) -> "ForgottenEverywhere":
        """Forget a face everywhere. Raises `NotForgottenError` if a file cannot be deleted."""
        from thumblab_core.people.forgetting import forget_face

        return self._forget(lambda connection: forget_face(connection, face_id))

    def forget_picture(self, sha256: str) -> "ForgottenEverywhere":
        """Forget the faces of a picture everywhere, and never search the picture for faces again.

        Raises `NotForgottenError` if a file cannot be deleted.
        """
        from thumblab_core.people.forgetting import forget_picture

        return self._forget(lambda connection: forget_picture(connection, sha256))

    def _forget(self, forget: "Callable[[Connection], Forgotten]") -> "ForgottenEverywhere":
        from thumblab_core.people.forgetting_everywhere import forget_everywhere

        def in_transaction(work: "Callable[[Connection], Removed]") -> "Removed":
            def with_reason(connection: "Connection") -> "Removed":
                # An error of a file must not count as an error of the database.
                try:
                    return work(connection)
                except (OSError, ReleaseError) as error:
                    raise NotForgottenError(f"nothing was forgotten, because a trained head {_cannot(error)}") from None

            return self._write(with_reason)

        try:
            return forget_everywhere(in_transaction, forget, self._releases, self._images)
        except (OSError, ReleaseError) as error:
            raise NotForgottenError(f"the faces are deleted from the database, but a file {_cannot(error)}") from None

    def _write(self, work: "Callable[[Connection], T]") -> T:
        """Return the result of `work`, which may change people. Raises `PeopleBusyError` if another change takes too
        long.
        """
        from thumblab_core.people.locking import lock_people_within

        def locked(connection: "Connection") -> T:
            lock_people_within(connection, _LOCK_SECONDS)
            return work(connection)

        return self.database.write(locked)

    def _change(self, change: "Callable[[Connection], ClusterRow]") -> Cluster:
        """Make a change, and return the cluster after the change."""
        from thumblab_core.people.reading import read_cluster

        return self._write(lambda connection: read_cluster(connection, change(connection).id))


def _cannot(error: OSError | ReleaseError) -> str:
    """Return the end of a sentence about a file that cannot be deleted.

    The error of an object store is left out, because it contains the bucket. Not every owner of a key may know the
    bucket.
    """
    if isinstance(error, StoreError):
        return f"cannot be deleted: {NO_STORE}"
    if isinstance(error.__cause__, StoreError):
        return f"cannot be deleted: {_NO_RELEASES}"
    reason = error.strerror or type(error).__name__ if isinstance(error, OSError) else str(error)
    return f"cannot be deleted ({reason}); give the service the right to change the lab's files"


def _thumbnail_of(connection: "Connection", video_id: str) -> str:
    """Return the SHA-256 of the thumbnail of a video. Raises `UnknownFaceError` if the video has no thumbnail."""
    from sqlalchemy import select

    from thumblab_core.database.tables import thumbnails

    sha256 = connection.scalar(select(thumbnails.c.sha256).where(thumbnails.c.video_id == video_id))
    if sha256 is None:
        raise UnknownFaceError("the lab has no thumbnail of this video; give the id of a video of the library")
    return str(sha256)
