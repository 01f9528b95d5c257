"""Read thumbnails of the library's videos, small enough to be shown beside an answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from thumblab_core.image_store import ImageStore
from thumblab_core.image_store.reading_ahead import UnreadImageError, read_ahead
from thumblab_core.images import ImageError
from thumblab_core.images.small_copy import small_copy
from thumblab_core.object_store.bucket import StoreError
from thumblab_serving.loading.database import NoDatabaseError, ServiceDatabase

if TYPE_CHECKING:  # Only type checkers import SQLAlchemy here, because the import is slow.
    from sqlalchemy import Connection

WIDTH = 480
"""Width of a picture in pixels. The page shows pictures at most 390 pixels wide."""
_QUALITY = 80

NO_STORE = "the image store cannot be used now; try again later"


@dataclass
class Found:
    """The JPEG bytes of each thumbnail that was found, by video id, and why the remaining thumbnails were not read."""

    pictures: dict[str, bytes] = field(default_factory=dict)
    degraded: list[str] = field(default_factory=list)


class LibraryPictures:
    """The thumbnails that the lab has stored. Many threads may use this object at the same time.

    The database is queried at each call, so the thumbnail of a deleted video is never returned.
    """

    def __init__(self, database: ServiceDatabase, images: ImageStore) -> None:
        self._database = database
        self._images = images

    def find(self, video_ids: Sequence[str]) -> Found:
        """Return the thumbnails of the videos. A video that the lab does not know, or whose thumbnail the lab does not
        have, is left out.

        Blocks the calling thread. If the database cannot answer, no error is raised, and `degraded` gives the reason.
        """
        found = Found()
        try:
            stored = self._database.read(lambda connection: _stored(connection, video_ids))
        except NoDatabaseError as error:
            found.degraded.append(f"the pictures of the library were not read, because {error}")
            return found
        for video_id, read in read_ahead(self._images, stored, stored.__getitem__):
            try:
                found.pictures[video_id] = reduced(read())
            except (StoreError, UnreadImageError):
                # Do not repeat the error, because it may name the bucket. Not every owner of a key may know that name.
                found.degraded.append(f"the picture of video {video_id} could not be read ({NO_STORE})")
            except (ImageError, OSError) as error:
                reason = str(error) if isinstance(error, ImageError) else str(error.strerror)
                found.degraded.append(f"the picture of video {video_id} could not be read ({reason})")
        return found

    def version(self, video_id: str, sha256: str) -> bytes | None:
        """Return a thumbnail that the video has, or had before. `sha256` identifies the thumbnail.

        Return None if the video never had this thumbnail, or if the lab no longer has its file.

        Blocks the calling thread. Raises `NoDatabaseError` if the database cannot answer, and `StoreError` if the image
        store cannot be used.
        """
        if not self._database.read(lambda connection: _is_of(connection, video_id, sha256)):
            return None
        try:
            return reduced(self._images.get(sha256))
        except (ImageError, FileNotFoundError):
            return None


def _is_of(connection: "Connection", video_id: str, sha256: str) -> bool:
    """Return whether the video has this thumbnail, or has had it."""
    from sqlalchemy import exists, select

    from thumblab_core.database.tables import thumbnail_versions, thumbnails

    shown = [exists().where(t.c.video_id == video_id, t.c.sha256 == sha256) for t in (thumbnails, thumbnail_versions)]
    return bool(connection.scalar(select(shown[0] | shown[1])))


def _stored(connection: "Connection", video_ids: Sequence[str]) -> Mapping[str, str]:
    """Return the SHA-256 of the stored thumbnail of each video. Leave out videos without a stored thumbnail."""
    from sqlalchemy import select

    from thumblab_core.database.tables import thumbnails

    rows = connection.execute(
        select(thumbnails.c.video_id, thumbnails.c.sha256).where(
            thumbnails.c.video_id.in_(video_ids), thumbnails.c.sha256.is_not(None)
        )
    )
    return {row.video_id: row.sha256 for row in rows}


def reduced(data: bytes) -> bytes:
    """Return a picture as a JPEG of 480x270 pixels. It is cropped to 16:9, by the same amount on two opposite sides.

    Raises `ImageError` if the picture cannot be decoded.
    """
    return small_copy(data, WIDTH, _QUALITY)
