"""Delete videos and channels, and all rows about them, from the database. Also keep videos from being deleted."""

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, text

from thumblab_core.people.pictures import delete_unshown

_PICTURES = text("""
SELECT sha256 FROM thumbnails WHERE video_id = ANY(:ids) AND sha256 IS NOT NULL
UNION SELECT sha256 FROM thumbnail_versions WHERE video_id = ANY(:ids)
""")
_OF_CHANNELS = text("SELECT video_id FROM videos WHERE channel_id = ANY(:ids) AND source = 'youtube' ORDER BY video_id")
_DELETE_UNUSED = text("""
DELETE FROM channels c WHERE c.channel_id = ANY(:ids) AND c.owner IS NULL
  AND NOT EXISTS (SELECT FROM videos v WHERE v.channel_id = c.channel_id)
""")
_DELETE_FACTS = text("""
UPDATE channels SET handle = NULL, subscriber_count = NULL, uploads_playlist = NULL, video_count = NULL,
  walked_at = NULL, refreshed_at = NULL
WHERE channel_id = ANY(:ids)
""")
_PRESENT = text("SELECT video_id FROM videos WHERE video_id = ANY(:ids) ORDER BY video_id FOR KEY SHARE")


def lock_videos(connection: Connection, video_ids: Collection[str]) -> set[str]:
    """Return which of the videos the lab has. Nobody can delete these videos before the end of the transaction."""
    return set(connection.scalars(_PRESENT, {"ids": list(video_ids)}))


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


def collected_videos(connection: Connection, channel_ids: Sequence[str]) -> list[str]:
    """Return the ids of the channels' videos that come from YouTube. Videos that a person imported are left out."""
    return list(connection.scalars(_OF_CHANNELS, {"ids": list(channel_ids)}))


def delete_channels(connection: Connection, channel_ids: Sequence[str]) -> int:
    """Delete channels that YouTube no longer has, with their `collected_videos`. Return how many videos were deleted.

    `drop_channels` says which rows of the table `channels` stay.
    """
    # The rows in `crawl_channels` are deleted first, to avoid a deadlock with a running crawl (see `delete_videos`).
    connection.execute(text("DELETE FROM crawl_channels WHERE channel_id = ANY(:ids)"), {"ids": list(channel_ids)})
    deleted = delete_videos(connection, collected_videos(connection, channel_ids))
    drop_channels(connection, channel_ids)
    return deleted


def drop_channels(connection: Connection, channel_ids: Sequence[str]) -> int:
    """Delete what the lab knows about channels from YouTube. Return how many rows of `channels` were deleted.

    The row of a channel stays if the channel belongs to an API key, or has a video. The row says which key may read the
    experiments and the figures of the channel. Without the row, every key could read them. A row that stays has only
    the id, the title and the owner of the channel.
    """
    ids = {"ids": list(channel_ids)}
    connection.execute(text("DELETE FROM crawl_channels WHERE channel_id = ANY(:ids)"), ids)
    deleted = connection.execute(_DELETE_UNUSED, ids).rowcount
    connection.execute(_DELETE_FACTS, ids)
    return deleted
