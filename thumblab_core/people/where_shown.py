"""Find the videos and channels that show pictures with faces."""

from collections.abc import Sequence

from sqlalchemy import Connection, distinct, func, literal, select, union_all

from thumblab_core.database.tables import (
    channels,
    face_assignments,
    people_pictures,
    thumbnail_versions,
    thumbnails,
    videos,
)
from thumblab_core.people.records import ShownPicture

_MOST = 100
"""At most this number of videos is returned for a picture, which may be the thumbnail of thousands of videos."""


def channels_of_clusters(connection: Connection, keys: Sequence[str]) -> dict[str, int]:
    """Return how many channels show or showed faces of each cluster. A cluster that no channel shows is left out."""
    ours = select(face_assignments.c.cluster_key, face_assignments.c.sha256).where(
        face_assignments.c.cluster_key.in_(list(keys))
    )
    shown = ours.subquery()
    seen = union_all(
        *(
            select(shown.c.cluster_key, table.c.video_id).join(table, table.c.sha256 == shown.c.sha256)
            for table in (thumbnails, thumbnail_versions)
        )
    ).subquery()
    rows = connection.execute(
        select(seen.c.cluster_key, func.count(distinct(videos.c.channel_id)).label("channels"))
        .join(videos, videos.c.video_id == seen.c.video_id)
        .group_by(seen.c.cluster_key)
    )
    return {row.cluster_key: row.channels for row in rows}


def where_shown(connection: Connection, sha256: str) -> tuple[ShownPicture, ...]:
    """Return the videos that show or showed a picture, the newest first. If a person gave the picture to the lab, also
    return the file that the person gave.

    If there are more than 100 videos, only the newest 100 are returned.
    """
    current, versions = thumbnails, thumbnail_versions
    seen = union_all(
        select(current.c.video_id, literal(True).label("current")).where(current.c.sha256 == sha256),
        select(versions.c.video_id, literal(False).label("current")).where(versions.c.sha256 == sha256),
    ).subquery()
    statement = (
        select(
            videos.c.video_id,
            videos.c.title,
            videos.c.channel_id,
            channels.c.title.label("channel"),
            func.bool_or(seen.c.current).label("current"),
        )
        .join(seen, seen.c.video_id == videos.c.video_id)
        .join(channels, channels.c.channel_id == videos.c.channel_id)
        .group_by(videos.c.video_id, channels.c.channel_id)
        .order_by(videos.c.published_at.desc(), videos.c.video_id)
        .limit(_MOST)
    )
    in_videos = [
        ShownPicture(row.video_id, row.title, row.channel_id, row.channel, row.current)
        for row in connection.execute(statement)
    ]
    given = connection.scalars(select(people_pictures.c.name).where(people_pictures.c.sha256 == sha256))
    return (*in_videos, *(ShownPicture(file_name=name) for name in given))
