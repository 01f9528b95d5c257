"""Fetch the videos of the lab again, and find those that YouTube no longer has."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import update

from thumblab_core.database.tables import videos
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.videos.records import save_videos
from thumblab_pipelines.youtube.client import YouTube


@dataclass(frozen=True)
class Refetched:
    """How many of a batch of videos are there still, and which are gone."""

    there: int
    gone: list[str]


def refetch(lab: Lab, youtube: YouTube, niche: str, video_ids: Sequence[str]) -> Refetched:
    """Bring at most 50 videos up to date, and tell those that are gone.

    What is missing, or cannot be read, is asked for once more by its id alone: what is forgotten in error is lost.
    """
    found = youtube.videos(video_ids, niche)
    missing = sorted(set(video_ids) - {record.video_id for record in found})
    gone = sorted(set(missing) - youtube.existing_videos(missing)) if missing else []
    with lab.engine.begin() as connection:
        save_videos(connection, found)
        if lab.settings.train_only_on_opted_in:  # a choice may be taken back: it is asked for anew
            ids = [record.video_id for record in found]
            connection.execute(update(videos).where(videos.c.video_id.in_(ids)).values(may_train=None))
    return Refetched(len(found), gone)
