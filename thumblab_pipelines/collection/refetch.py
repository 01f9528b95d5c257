"""Update videos that the lab already has. `refetch` fetches all facts of the videos, such as title and length, and
`observe_counts` fetches only their counts."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from thumblab_core.database.tables import video_stats, videos
from thumblab_core.views import era
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.videos.deletion import lock_videos
from thumblab_pipelines.videos.records import save_videos
from thumblab_pipelines.youtube.client import YouTube


@dataclass(frozen=True)
class Refetched:
    """How many videos of a batch were updated (`present`), and the ids of the videos that are no longer on YouTube
    (`gone`).
    """

    present: int
    gone: list[str]


@dataclass(frozen=True)
class ObservedCounts:
    """The ids of the videos whose counts YouTube gave, and the number of new observations."""

    video_ids: list[str]
    new: int


def refetch(lab: Lab, youtube: YouTube, niche: str, video_ids: Sequence[str]) -> Refetched:
    """Fetch the facts of at most 50 videos again, and find the videos that are no longer on YouTube.

    YouTube's answer may lack a video, or the facts of a video may be unreadable. In both cases, a second call asks only
    which of these videos exist. A video counts as gone if the second answer lacks it too. The second call is made
    because the caller may delete the gone videos, and a deletion cannot be undone.
    """
    records = youtube.videos(video_ids, niche)
    missing = sorted(set(video_ids) - {record.video_id for record in records})
    gone = sorted(set(missing) - youtube.existing_videos(missing)) if missing else []
    with lab.engine.begin() as connection:
        # A person may have forgotten a video since the caller read its id. Such a video must not be stored again.
        present = lock_videos(connection, {record.video_id for record in records})
        records = [record for record in records if record.video_id in present]
        save_videos(connection, records)
        # The uploader may have withdrawn the permission to train on the video. So the stored permission is replaced by
        # None, which means "unknown". The next run of `retain` then asks YouTube for the permission again.
        if lab.settings.train_only_on_opted_in:
            ids = [record.video_id for record in records]
            connection.execute(update(videos).where(videos.c.video_id.in_(ids)).values(may_train=None))
    return Refetched(len(records), gone)


def observe_counts(lab: Lab, youtube: YouTube, video_ids: Sequence[str]) -> ObservedCounts:
    """Fetch the counts of at most 50 videos. Store the counts as an observation of each video that the lab has."""
    statistics, at = youtube.statistics(video_ids)
    with lab.engine.begin() as connection:
        # This query takes the same row locks that PostgreSQL takes to check a foreign key. So no other process can
        # delete a video before its observation is written.
        chosen = (
            select(videos.c.video_id, videos.c.format)
            .where(videos.c.video_id.in_(video_ids))
            .order_by(videos.c.video_id)
            .with_for_update(read=True, key_share=True)
        )
        formats = dict(connection.execute(chosen).all())
        rows = [
            {
                "video_id": counts.video_id,
                "observed_at": at,
                "view_count": counts.view_count,
                "like_count": counts.like_count,
                "comment_count": counts.comment_count,
                "era": era(formats[counts.video_id], at),
            }
            for counts in sorted(statistics, key=lambda counts: counts.video_id)
            if counts.video_id in formats
        ]
        new = 0
        if rows:
            statement = insert(video_stats).values(rows).on_conflict_do_nothing().returning(video_stats.c.video_id)
            new = len(connection.execute(statement).all())
    return ObservedCounts([str(row["video_id"]) for row in rows], new)
