"""Delete videos, and all rows about these videos, from the database."""

from collections.abc import Sequence

from sqlalchemy import Connection, text

from thumblab_core.people.pictures import delete_unshown

_PICTURES = text("""
SELECT sha256 FROM thumbnails WHERE video_id = ANY(:ids) AND sha256 IS NOT NULL
UNION SELECT sha256 FROM thumbnail_versions WHERE video_id = ANY(:ids)
""")


def delete_videos(connection: Connection, video_ids: Sequence[str]) -> int:
    """Delete the videos from the database, with all rows about them except reach figures and experiments. Return how
    many videos were deleted.

    The rules that require the deletion are about facts from YouTube's public API. The reach figures (`video_reach`) and
    the experiments come from the owner of the channel, so they stay. The faces in the pictures of the videos are
    deleted too. A face stays if another video shows the same picture, or if a user added the picture with `add_folder`.
    The next run of `lab_retention` deletes the pictures of the videos, and removes the videos from releases.
    """
    if not video_ids:
        return 0
    # A crawl locks rows of `crawl_videos` before it writes to `videos`. This transaction uses the tables in the same
    # order, so this transaction and a crawl cannot wait for each other forever.
    ids = {"ids": list(video_ids)}
    connection.execute(text("DELETE FROM crawl_videos WHERE video_id = ANY(:ids)"), ids)
    pictures = list(connection.scalars(_PICTURES, ids))
    deleted = connection.execute(text("DELETE FROM videos WHERE video_id = ANY(:ids)"), ids).rowcount
    delete_unshown(connection, pictures)
    return deleted
