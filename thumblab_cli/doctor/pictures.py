"""Check that the image store has all pictures that the database names, and that an object store can be written."""

from collections.abc import Iterator

from thumblab_cli.doctor.examined import Examined, NotRunningError
from thumblab_cli.doctor.finding import Finding, error, fine, skipped, warning
from thumblab_core.errors import LabError
from thumblab_core.image_store import image_store
from thumblab_core.image_store.objects import ImageObjects
from thumblab_core.image_store.reading_ahead import UnreadImageError, read_ahead
from thumblab_core.images import ImageError
from thumblab_core.object_store.bucket import StoreError

_SAMPLE = 40
_SOME = "SELECT sha256 FROM thumbnails WHERE sha256 IS NOT NULL ORDER BY random() LIMIT :sample"


def pictures(examined: Examined) -> Iterator[Finding]:
    """Read a sample of the lab's pictures. In an object store, also write and delete a small object."""
    try:
        images = image_store(examined.settings)
        if isinstance(images, ImageObjects):
            images.bucket.now()
    except LabError as problem:
        yield error(str(problem), "check THUMBLAB_IMAGE_STORE, its credentials and the network")
        return
    try:
        names = _sample(examined)
    except NotRunningError as problem:
        yield skipped(str(problem))
        return
    except LabError:
        yield skipped("the database does not answer; see the check of the database")
        return
    unread: list[str] = []
    try:
        for _, read in read_ahead(images, names, str):
            try:
                read()
            except (ImageError, OSError) as problem:
                # A failed request says nothing about the picture itself, so a restored backup would not help.
                if isinstance(problem, LabError) and problem.transient:
                    raise
                unread.append(str(problem))
    except (UnreadImageError, StoreError) as problem:
        yield error(str(problem), "check THUMBLAB_IMAGE_STORE, its credentials and the network")
        return
    if unread:
        yield warning(
            f"{len(unread)} of {len(names)} sampled pictures in {images} cannot be read: {unread[0]}",
            f"restore the pictures from a backup, or let YouTube send them again: {examined.command('up')}",
        )
    else:
        yield fine(f"{len(names)} sampled pictures in {images}, all undamaged")


def _sample(examined: Examined) -> list[str]:
    from sqlalchemy import text

    with examined.database() as connection:
        return list(connection.scalars(text(_SOME), {"sample": _SAMPLE}))
