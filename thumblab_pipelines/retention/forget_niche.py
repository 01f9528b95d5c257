"""Delete a retired niche with its videos, pictures and releases."""

from dataclasses import dataclass

from sqlalchemy import delete

from thumblab_core.database.tables import (
    channel_baselines,
    crawl_channels,
    crawl_searches,
    crawl_videos,
    index_rebuilds,
    niche_reports,
)
from thumblab_core.errors import LabError
from thumblab_core.niches.store import delete_retired, require_retired, write_niche_file
from thumblab_core.releases.release import ALL, INDEX
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.library_map.trim import clean_maps
from thumblab_pipelines.progress import Progress, batches, silent
from thumblab_pipelines.retention.purge import alive_videos, clean_faces, clean_images, clean_indices, clean_pairs
from thumblab_pipelines.retention.purge_adapters import clean_adapters
from thumblab_pipelines.videos.deletion import delete_videos

_BATCH = 500

_ROUNDS = 3
"""Maximum number of times that the data of the niche is deleted. A run that began before the niche was retired may save
new videos and publish a new index after a deletion.
"""


@dataclass(frozen=True)
class ForgottenNiche:
    """The numbers of videos, pictures and releases that were deleted with a niche."""

    videos: int
    images: int
    releases: int


def forget_niche(lab: Lab, name: str, progress: Progress = silent) -> ForgottenNiche:
    """Delete a retired niche: its videos with all rows about them, its indices and maps, and its row in the table
    `niches`. Pictures that only these videos show are deleted too.

    The videos are deleted by the rules of docs/retention.md. They are also removed from the pairs releases, the map of
    all niches and the channel adapters. Experiments and imported click-through rates stay. If a call was killed, call
    the function again.

    Raises `LabError` if the niche is not retired. If a person restores the niche during the call, the function stops
    with this error, and the remaining videos stay. Also raises `LabError` if other runs save new videos of the niche
    again and again. In this case, the row of the niche and the new videos stay.
    """
    deleted = images = releases = 0
    for _ in range(_ROUNDS):
        deleted += _delete_rows(lab, name, progress)
        releases += clean_indices(lab, name, None) + clean_maps(lab, (name, ALL), None) + clean_pairs(lab)
        clean_faces(lab)
        images += clean_images(lab)
        clean_adapters(lab, progress)
        if _delete_niche(lab, name):
            return ForgottenNiche(deleted, images, releases)
    raise LabError(
        f"{name} is not forgotten, because other runs still save videos or an index of this niche; wait until these runs "
        f"have ended, and then run `thumblab niche retire {name} --forget` again"
    )


def _delete_rows(lab: Lab, name: str, progress: Progress) -> int:
    """Delete the videos of the niche, and all other rows about the niche. Return how many videos were deleted."""
    deleted = 0
    with lab.engine.begin() as connection:
        require_retired(connection, name)
        video_ids = sorted(alive_videos(connection, name))
    for batch in batches(video_ids, _BATCH, f"{name}: deleting videos", progress):
        with lab.engine.begin() as connection:
            require_retired(connection, name)
            deleted += delete_videos(connection, batch)
    with lab.engine.begin() as connection:
        require_retired(connection, name)
        for table in (crawl_videos, crawl_channels, crawl_searches, channel_baselines, niche_reports, index_rebuilds):
            connection.execute(delete(table).where(table.c.niche == name))
    return deleted


def _delete_niche(lab: Lab, name: str) -> bool:
    """Delete the row of the niche, and return True. If the niche has a video or an index, do nothing and return False.

    The row is deleted last. So if `forget_niche` is killed before this step, another call still finds the niche, and
    deletes the rest.
    """
    with lab.engine.begin() as connection:
        require_retired(connection, name)
        if alive_videos(connection, name) or lab.releases.all(INDEX, name):
            return False
        delete_retired(connection, name)
    write_niche_file(lab.engine, lab.settings.data_dir)
    return True
