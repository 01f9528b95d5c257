"""Forget a person, a face or a picture everywhere: in the tables, in the releases and in the image store."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from thumblab_core.faces.head import remove_heads_of
from thumblab_core.image_store import ImageStore
from thumblab_core.people.records import Forgotten
from thumblab_core.releases.release_store import ReleaseStore

Removed = tuple[Forgotten, list[str]]
Transaction = Callable[[Callable[[Connection], Removed]], Removed]
"""A function that calls another function with a connection, and commits the transaction if that function raises no
error.
"""


@dataclass(frozen=True)
class ForgottenEverywhere:
    """The deleted faces, pictures and heads.

    Attributes:
        faces: number of faces.
        pictures: number of pictures that were deleted from the image store. Pictures of videos stay.
        heads: ids of the releases of heads that were deleted because they had learnt from these faces.
    """

    faces: int
    pictures: int
    heads: list[str]


def forget_everywhere(
    in_transaction: Transaction,
    forget: Callable[[Connection], Forgotten],
    releases: ReleaseStore,
    images: ImageStore,
) -> ForgottenEverywhere:
    """Call `forget` to delete rows. Then delete the heads that learnt from the deleted faces, and the pictures to which
    no row refers any more.

    `forget` is a function of the module `forgetting`. Its errors are raised unchanged. If a head cannot be deleted, no
    row is deleted either, so that the same call can be repeated. Raises `OSError` if a picture cannot be deleted.
    `lab_retention` then deletes the picture later, because no row refers to it.
    """

    def rows_and_heads(connection: Connection) -> Removed:
        forgotten = forget(connection)
        return forgotten, remove_heads_of(releases, forgotten.cluster_keys, forgotten.face_ids).removed

    forgotten, heads = in_transaction(rows_and_heads)
    # The heads are deleted a second time, because a training that ended before the rows were deleted may have published
    # a new head. A training that ends later detects that the rows are deleted.
    heads += remove_heads_of(releases, forgotten.cluster_keys, forgotten.face_ids).removed
    pictures = 0
    failed: OSError | None = None
    for sha256 in forgotten.unnamed_pictures:
        try:
            pictures += images.remove(sha256)
        except OSError as error:  # The copies of the other pictures on this disk can still be deleted.
            failed = failed or error
    if failed is not None:
        raise failed
    return ForgottenEverywhere(len(forgotten.face_ids), pictures, heads)
