"""Delete single videos, or all videos of a channel, because a person asked for it."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from sqlalchemy import ARRAY, BindParameter, Connection, Text, any_, delete, exists, func, literal, select

from thumblab_core.database.pictures import named_pictures
from thumblab_core.database.tables import channels, experiments, thumbnail_versions, thumbnails, video_reach, videos
from thumblab_core.ranking.channel_adapters import ChannelAdapters
from thumblab_core.releases.release import ALL
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.library_map.trim import clean_maps
from thumblab_pipelines.progress import Progress, batches, silent
from thumblab_pipelines.retention.attempts import Attempts
from thumblab_pipelines.retention.purge import clean_faces, clean_indices, clean_pairs
from thumblab_pipelines.retention.purge_adapters import CleanedAdapters, clean_adapters
from thumblab_pipelines.videos.deletion import delete_videos

_BATCH = 500


@dataclass(frozen=True)
class ForgottenVideos:
    """What was deleted: videos, rows of their private figures, pictures, and releases that contained them.

    `adapters`: channel adapters that were fitted again or removed. `experiments`: experiments with these videos, which
    stay.
    """

    videos: int = 0
    figures: int = 0
    images: int = 0
    releases: int = 0
    adapters: int = 0
    experiments: int = 0


def known_videos(connection: Connection, video_ids: Iterable[str]) -> set[str]:
    """Return which of the videos the lab has. A video counts even if the lab has only its private figures."""
    wanted = _array(video_ids)
    found = select(videos.c.video_id).where(videos.c.video_id == any_(wanted))
    with_figures = select(video_reach.c.video_id).where(video_reach.c.video_id == any_(wanted))
    return set(connection.scalars(found.union(with_figures)))


def forget_videos(lab: Lab, video_ids: Sequence[str], progress: Progress = silent) -> ForgottenVideos:
    """Delete videos with all rows about them, their private figures (`video_reach`), faces and pictures. Remove them from
    the indices, maps, pairs releases and channel adapters.

    Pictures that another video, an experiment or a person uses stay. Experiments stay too. If one clean-up fails, all
    other clean-ups still run, and the first error is raised at the end. The next runs of `retention` and
    `lab_retention` complete a call that failed or was killed.
    """
    niches, pictures = _facts(lab, video_ids)
    deleted = figures = 0
    for batch in batches(list(video_ids), _BATCH, "deleting videos", progress):
        with lab.engine.begin() as connection:
            deleted += delete_videos(connection, batch)
            of_batch = delete(video_reach).where(video_reach.c.video_id == any_(_array(batch)))
            figures += connection.execute(of_batch).rowcount
    attempts = Attempts()
    releases = 0
    for niche in niches:
        releases += attempts.run(0, partial(clean_indices, lab, niche, None))
    releases += attempts.run(0, lambda: clean_maps(lab, (*niches, ALL), None))
    releases += attempts.run(0, lambda: clean_pairs(lab))
    attempts.run(0, lambda: clean_faces(lab))
    images = attempts.run(0, lambda: _remove_pictures(lab, pictures))
    adapters = attempts.run(CleanedAdapters(), lambda: clean_adapters(lab, progress)).cleaned
    if attempts.failures:
        attempts.raise_first()
    with lab.engine.connect() as connection:
        of_videos = experiments.c.video_id == any_(_array(video_ids))
        staying = connection.scalar(select(func.count()).select_from(experiments).where(of_videos)) or 0
    return ForgottenVideos(deleted, figures, images, releases, adapters, staying)


def forget_channel(lab: Lab, channel_id: str, progress: Progress = silent) -> ForgottenVideos:
    """Delete a channel: its adapter, its videos by the rules of `forget_videos`, and its row in the table `channels`.

    If a run saves a video of the channel during the call, this video and the row of the channel stay.
    """
    removed = ChannelAdapters(lab.releases).remove(channel_id)
    with lab.engine.connect() as connection:
        video_ids = channel_videos(connection, channel_id)
    forgotten = forget_videos(lab, video_ids, progress)
    has_videos = exists().where(videos.c.channel_id == channel_id)
    with lab.engine.begin() as connection:
        connection.execute(delete(channels).where(channels.c.channel_id == channel_id, ~has_videos))
    return replace(forgotten, adapters=forgotten.adapters + removed)


def channel_videos(connection: Connection, channel_id: str) -> list[str]:
    """Return the ids of the channel's videos."""
    return list(connection.scalars(select(videos.c.video_id).where(videos.c.channel_id == channel_id)))


def _facts(lab: Lab, video_ids: Iterable[str]) -> tuple[list[str], set[str]]:
    """Return the niches of the videos, and the SHA-256 of their pictures."""
    wanted = any_(_array(video_ids))
    of_videos = select(videos.c.niche).distinct().where(videos.c.video_id == wanted)
    now = select(thumbnails.c.sha256).where(thumbnails.c.video_id == wanted, thumbnails.c.sha256.is_not(None))
    earlier = select(thumbnail_versions.c.sha256).where(thumbnail_versions.c.video_id == wanted)
    with lab.engine.connect() as connection:
        return sorted(connection.scalars(of_videos)), set(connection.scalars(now.union(earlier)))


def _remove_pictures(lab: Lab, pictures: Collection[str]) -> int:
    """Delete those pictures that nothing in the lab names any more, and return their number.

    `clean_images` would keep the pictures that were stored within the last hour.
    """
    with lab.engine.connect() as connection:
        unnamed = {*pictures} - {*named_pictures(connection)}
    return sum(lab.images.remove(sha256) for sha256 in unnamed)


def _array(video_ids: Iterable[str]) -> BindParameter[Any]:
    """Return the ids as one array parameter. A parameter for each id could exceed PostgreSQL's limit of parameters."""
    return literal(list(video_ids), ARRAY(Text))
