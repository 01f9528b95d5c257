"""Delete single videos, or all videos of a channel, because a person asked for it."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from sqlalchemy import ARRAY, BindParameter, Connection, Text, any_, delete, func, literal, select

from thumblab_core.database.pictures import named_pictures
from thumblab_core.database.tables import (
    channels,
    crawl_channels,
    experiment_variants,
    experiments,
    thumbnail_versions,
    thumbnails,
    video_reach,
    videos,
)
from thumblab_core.errors import LabError
from thumblab_core.library_map.files import LIBRARY_MAP
from thumblab_core.ranking.channel_adapters import ChannelAdapters
from thumblab_core.releases.release import ALL, INDEX
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.library_map.trim import clean_maps
from thumblab_pipelines.progress import Progress, batches, silent
from thumblab_pipelines.retention.attempts import Attempts
from thumblab_pipelines.retention.own_database import require_own_database
from thumblab_pipelines.retention.purge import clean_faces, clean_images, clean_indices, clean_pairs
from thumblab_pipelines.retention.purge_adapters import clean_adapters
from thumblab_pipelines.videos.deletion import delete_videos

_BATCH = 500


@dataclass(frozen=True)
class ForgottenVideos:
    """What was deleted: videos, rows of their private figures, pictures, and releases that contained them.

    `adapters`: channel adapters that were fitted again or removed. `experiments`: experiments with these videos, which
    stay. `deleted_experiments`: experiments of a forgotten channel, which were deleted.
    """

    videos: int = 0
    figures: int = 0
    images: int = 0
    releases: int = 0
    adapters: int = 0
    experiments: int = 0
    deleted_experiments: int = 0


def known_videos(connection: Connection, video_ids: Iterable[str]) -> set[str]:
    """Return which of the videos the lab has. A video counts even if the lab has only its private figures."""
    wanted = _array(video_ids)
    found = select(videos.c.video_id).where(videos.c.video_id == any_(wanted))
    with_figures = select(video_reach.c.video_id).where(video_reach.c.video_id == any_(wanted))
    return set(connection.scalars(found.union(with_figures)))


def forget_videos(lab: Lab, video_ids: Sequence[str], progress: Progress = silent) -> ForgottenVideos:
    """Delete videos with all rows about them, their private figures (`video_reach`), faces and pictures. Remove them
    from the indices, maps, pairs releases and channel adapters.

    Pictures that another video, an experiment or a person uses stay. Experiments stay too. All rows are deleted in one
    transaction, before the clean-ups of releases and pictures. If one clean-up fails, all other clean-ups still run,
    and the first error is raised at the end. `clean_remains`, or the next runs of `retention` and `lab_retention`,
    complete a call that failed or was killed.
    """
    with lab.engine.begin() as connection:
        niches, pictures = _facts(connection, video_ids)
        forgotten = _delete_rows(connection, video_ids, progress)
    return _clean(lab, Attempts(), forgotten, niches, lambda: _remove_pictures(lab, pictures), progress)


def forget_channel(lab: Lab, channel_id: str, progress: Progress = silent) -> ForgottenVideos:
    """Delete a channel: its videos by the rules of `forget_videos`, its experiments, its row in the table `channels`,
    and its adapter.

    The experiments are deleted in the transaction that deletes the row of the channel. The row says which API key may
    read them. Without the row, every key could read them.
    """
    with lab.engine.begin() as connection:
        # A crawl locks rows of these tables before it locks a channel. Deleting them first avoids a deadlock.
        connection.execute(delete(crawl_channels).where(crawl_channels.c.channel_id == channel_id))
        # This lock lets no run save a video of the channel before the end of the transaction.
        connection.execute(select(channels.c.channel_id).where(channels.c.channel_id == channel_id).with_for_update())
        video_ids = channel_videos(connection, channel_id)
        niches, pictures = _facts(connection, video_ids)
        pictures |= _experiment_pictures(connection, channel_id)
        of_channel = delete(experiments).where(experiments.c.channel_id == channel_id)
        deleted_experiments = connection.execute(of_channel).rowcount
        forgotten = _delete_rows(connection, video_ids, progress)
        connection.execute(delete(channels).where(channels.c.channel_id == channel_id))
    attempts = Attempts()
    removed = attempts.run(False, lambda: ChannelAdapters(lab.releases).remove(channel_id))
    forgotten = replace(forgotten, adapters=int(removed), deleted_experiments=deleted_experiments)
    return _clean(lab, attempts, forgotten, niches, lambda: _remove_pictures(lab, pictures), progress)


def clean_remains(lab: Lab, progress: Progress = silent) -> ForgottenVideos:
    """Run the clean-ups again for all videos that are no longer in the lab, after a call that failed or was killed.

    Pictures that were stored within the last hour stay until the next `lab_retention`. Raises the `LabError` of
    `require_own_database`.
    """
    require_own_database(lab)
    scopes = {scope for kind in (INDEX, LIBRARY_MAP) for _, scope in lab.releases.scopes(kind)}
    niches = sorted(scopes - {ALL})
    return _clean(lab, Attempts(), ForgottenVideos(), niches, lambda: clean_images(lab), progress)


def channel_videos(connection: Connection, channel_id: str) -> list[str]:
    """Return the ids of the channel's videos."""
    return list(connection.scalars(select(videos.c.video_id).where(videos.c.channel_id == channel_id)))


def _delete_rows(connection: Connection, video_ids: Sequence[str], progress: Progress) -> ForgottenVideos:
    """Delete the videos with all rows about them and their private figures, in the transaction of `connection`."""
    deleted = figures = 0
    for batch in batches(list(video_ids), _BATCH, "deleting videos", progress):
        deleted += delete_videos(connection, batch)
        of_batch = delete(video_reach).where(video_reach.c.video_id == any_(_array(batch)))
        figures += connection.execute(of_batch).rowcount
    of_videos = experiments.c.video_id == any_(_array(video_ids))
    staying = connection.scalar(select(func.count()).select_from(experiments).where(of_videos)) or 0
    return ForgottenVideos(videos=deleted, figures=figures, experiments=staying)


def _clean(
    lab: Lab,
    attempts: Attempts,
    forgotten: ForgottenVideos,
    niches: Sequence[str],
    remove_pictures: Callable[[], int],
    progress: Progress,
) -> ForgottenVideos:
    """Remove deleted videos from the releases and the image store. Return `forgotten` with the added numbers.

    Raises the first error of `attempts` at the end.
    """
    releases = 0
    for niche in niches:
        releases += attempts.run(0, partial(clean_indices, lab, niche, None))
    releases += attempts.run(0, lambda: clean_maps(lab, (*niches, ALL), None))
    releases += attempts.run(0, lambda: clean_pairs(lab))
    attempts.run(0, lambda: clean_faces(lab))
    images = attempts.run(0, remove_pictures)
    adapters = attempts.run(0, lambda: _clean_adapters(lab, progress))
    if attempts.failures:
        attempts.raise_first("the rows in the database are deleted; repeat the command to clean the rest")
    return replace(forgotten, images=images, releases=releases, adapters=forgotten.adapters + adapters)


def _clean_adapters(lab: Lab, progress: Progress) -> int:
    """Clean the channel adapters and return their number. Raises `LabError` if one of them could not be cleaned."""
    cleaned = clean_adapters(lab, progress)
    if cleaned.failed:
        failed = "; ".join(f"{channel_id}: {why}" for channel_id, why in cleaned.failed.items())
        raise LabError(f"{len(cleaned.failed)} channel adapters still name deleted videos: {failed}")
    return cleaned.cleaned


def _facts(connection: Connection, video_ids: Iterable[str]) -> tuple[list[str], set[str]]:
    """Return the niches of the videos, and the SHA-256 of their pictures."""
    wanted = any_(_array(video_ids))
    of_videos = select(videos.c.niche).distinct().where(videos.c.video_id == wanted)
    now = select(thumbnails.c.sha256).where(thumbnails.c.video_id == wanted, thumbnails.c.sha256.is_not(None))
    earlier = select(thumbnail_versions.c.sha256).where(thumbnail_versions.c.video_id == wanted)
    return sorted(connection.scalars(of_videos)), set(connection.scalars(now.union(earlier)))


def _experiment_pictures(connection: Connection, channel_id: str) -> set[str]:
    """Return the SHA-256 of the pictures of the channel's experiments."""
    of_variants = experiment_variants.join(experiments)
    pictures = select(experiment_variants.c.sha256).select_from(of_variants)
    wanted = pictures.where(experiments.c.channel_id == channel_id, experiment_variants.c.sha256.is_not(None))
    return set(connection.scalars(wanted))


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
