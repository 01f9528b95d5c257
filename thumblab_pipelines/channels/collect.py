"""Collect the newest uploads of a channel from YouTube."""

import dataclasses
import re

from sqlalchemy import func, select

from thumblab_core.database.channels import Channel, near_title
from thumblab_core.database.tables import videos
from thumblab_core.errors import LabError
from thumblab_core.ranking.channel_adapters import CHANNEL_ID
from thumblab_pipelines.collection.download import download_thumbnails
from thumblab_pipelines.collection.refetch import observe_counts
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.progress import Progress, batches, silent
from thumblab_pipelines.videos.records import VIDEO, ChannelRecord, save_channels, save_videos
from thumblab_pipelines.youtube.client import PAGE_SIZE, YouTube
from thumblab_pipelines.youtube.quota import QuotaError
from thumblab_pipelines.youtube.uploads import newest_uploads

MOST_UPLOADS = 200
"""Maximum number of uploads that are collected from a channel, newest first.

200 uploads cost nine units of quota: one call for the channel, four for its list of uploads, and four for the facts of
the videos.
"""


def niche_of(lab: Lab, channel_id: str) -> str | None:
    """Return the niche that has the most videos of the channel, or None if no niche has a video of this channel. Retired
    niches do not count.
    """
    statement = (
        select(videos.c.niche)
        .where(videos.c.channel_id == channel_id, videos.c.niche.in_(lab.niches))
        .group_by(videos.c.niche)
        .order_by(func.count().desc(), videos.c.niche)
        .limit(1)
    )
    with lab.engine.connect() as connection:
        return connection.scalar(statement)


def collect_channel(
    lab: Lab, name: str, niche: str | None = None, progress: Progress = silent
) -> tuple[Channel, str | None]:
    """Collect the newest uploads of a channel with their pictures. `name` is the channel's id or @handle.

    New uploads go into the niche that the channel already has in the lab, see `niche_of`. If the channel has no niche
    yet, new uploads go into `niche`. Return the channel, and the reason why some of its uploads were not collected, or
    None.

    Raises `LabError` when no API key is set, when the channel does not exist, or when YouTube refuses a call. Also
    raises `LabError` when the channel has no niche and `niche` is None.
    """
    remarks: list[str] = []
    with YouTube.connect(lab.settings, lab.engine) as youtube:
        records = [youtube.channel_of(name)] if name.startswith("@") else youtube.channels([name])
        record = records[0] if records else None
        if record is None:
            with lab.engine.connect() as connection:
                near = near_title(connection, name)
            raise LabError(f"YouTube knows no channel {name!r}{near}; give its id (UC...) or its @handle")
        niche = niche_of(lab, record.channel_id) or niche
        if niche is None:
            raise LabError(
                f"no niche of the lab has a video of {record.title!r} yet; give the niche for its videos with --niche"
            )
        with lab.engine.begin() as connection:
            save_channels(connection, [record])
        try:
            _collect(lab, youtube, record, niche, remarks, progress)
        except QuotaError as error:
            remarks.append(str(error))
    # `download_thumbnails` downloads the missing pictures of the niche. With `thumbnail_rechecks` 0, the function does
    # not check whether the other videos have changed their pictures.
    settings = lab.settings.model_copy(update={"thumbnail_rechecks": 0})
    download_thumbnails(dataclasses.replace(lab, settings=settings), niche, progress)
    return Channel(record.channel_id, record.title, record.handle), "; ".join(remarks) or None


def _collect(
    lab: Lab, youtube: YouTube, record: ChannelRecord, niche: str, remarks: list[str], progress: Progress
) -> None:
    """Save new uploads, and update the view counts of uploads that the lab already has. Commit after every batch."""
    uploads: list[str] = []
    if record.uploads_playlist is not None:
        uploads = newest_uploads(youtube, record.channel_id, record.uploads_playlist, MOST_UPLOADS, remarks)
    with lab.engine.connect() as connection:
        # An upload counts as known only if the lab has it as an ordinary video. An upload that was saved as an upcoming
        # video may be an ordinary video by now. So the facts of such an upload are fetched from YouTube again.
        is_video = videos.c.format == VIDEO
        known = set(connection.scalars(select(videos.c.video_id).where(videos.c.video_id.in_(uploads), is_video)))
    for batch in batches([v for v in uploads if v not in known], PAGE_SIZE, f"{record.title}: uploads", progress):
        records = youtube.videos(batch, niche)
        with lab.engine.begin() as connection:
            save_videos(connection, [video for video in records if video.channel_id == record.channel_id])
    for batch in batches([v for v in uploads if v in known], PAGE_SIZE, f"{record.title}: counts", progress):
        observe_counts(lab, youtube, batch)


def is_name_for_youtube(name: str) -> bool:
    """Return whether YouTube can look up a channel by this name: an id or a @handle, but not a title."""
    return name.startswith("@") or re.fullmatch(CHANNEL_ID, name) is not None
