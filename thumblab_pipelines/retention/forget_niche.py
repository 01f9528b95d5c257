"""Delete a retired niche with its videos, pictures and releases."""

from dataclasses import dataclass

from sqlalchemy import delete

from thumblab_core.database.tables import crawl_channels, crawl_searches, crawl_videos, index_rebuilds, niche_reports
from thumblab_core.database.tables import niches as niches_table
from thumblab_core.errors import LabError
from thumblab_core.niches.store import niche_named
from thumblab_core.releases.release import ALL
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.library_map.trim import clean_maps
from thumblab_pipelines.progress import Progress, batches, silent
from thumblab_pipelines.retention.purge import alive_videos, clean_faces, clean_images, clean_indices, clean_pairs
from thumblab_pipelines.retention.purge_adapters import clean_adapters
from thumblab_pipelines.videos.deletion import delete_videos

_BATCH = 500


@dataclass(frozen=True)
class ForgottenNiche:
    """The numbers of videos, pictures and releases that were deleted with a niche."""

    videos: int
    images: int
    releases: int


def forget_niche(lab: Lab, name: str, progress: Progress = silent) -> ForgottenNiche:
    """Delete a retired niche: its videos with all rows about them, pictures that nothing else shows, its indices and
    maps, and its row in the table `niches`.

    The deletion is the one of the retention (docs/retention.md). So releases of pairs, the map of all niches and the
    channel adapters are cleaned too, and experiments and imported click-through rates stay. If the call is killed, call
    it again. Raises `LabError` if the niche is not retired.
    """
    with lab.engine.connect() as connection:
        if niche_named(connection, name).retired_at is None:
            raise LabError(f"{name} is not retired; `thumblab niche retire {name} --forget` retires and forgets it")
        video_ids = sorted(alive_videos(connection, name))
    deleted = 0
    for batch in batches(video_ids, _BATCH, f"{name}: deleting videos", progress):
        with lab.engine.begin() as connection:
            deleted += delete_videos(connection, batch)
    with lab.engine.begin() as connection:
        for table in (crawl_videos, crawl_channels, crawl_searches, niche_reports, index_rebuilds):
            connection.execute(delete(table).where(table.c.niche == name))
    releases = clean_indices(lab, name, None) + clean_maps(lab, (name, ALL), None) + clean_pairs(lab)
    clean_faces(lab)
    images = clean_images(lab)
    clean_adapters(lab, progress)
    # The row goes last, so that a call after a kill finds the niche and does the rest.
    with lab.engine.begin() as connection:
        connection.execute(delete(niches_table).where(niches_table.c.name == name))
    return ForgottenNiche(deleted, images, releases)
