"""A lab with one niche, from which tests delete videos.

The videos of the lab are in many tables, in an index release and in a pairs release.
"""

import dataclasses
import os
import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from demo.emulator import Emulator
from thumblab_core.database.tables import metadata, thumbnail_versions
from thumblab_core.index import NicheIndex
from thumblab_core.library_map.atlases import PICTURES, read_pictures
from thumblab_core.library_map.files import LIBRARY_MAP
from thumblab_core.library_map.points import POINTS, read_points
from thumblab_core.releases.release import ALL, INDEX, PAIRS
from thumblab_core.settings import Settings
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.retention.lab_clean_up import clean_lab
from thumblab_pipelines.retention.retention import Retained, retain

SECRET = "AIzaSecretOfTheTests"
NICHE = "tech"
EVERYWHERE = {
    "videos",
    "video_stats",
    "thumbnails",
    "thumbnail_versions",
    "embeddings",
    "visual_features",
    "crawl_videos",
}
"""The tables in which each video of the lab has rows."""


@dataclass(frozen=True)
class FullLab:
    """A lab with one niche, the emulator that serves its videos, and the ids of its videos."""

    lab: Lab
    emulator: Emulator
    ids: list[str]

    def with_settings(self, **changes: Any) -> Lab:
        settings = Settings(**(self.lab.settings.model_dump(exclude_unset=True) | changes))
        return dataclasses.replace(self.lab, settings=settings)

    def rows(self, video_id: str) -> dict[str, int]:
        """Return a dictionary that maps the name of a table to the number of the video's rows in this table.

        A table without rows of the video is left out.
        """
        with self.lab.engine.connect() as connection:
            return {
                table.name: count
                for table in metadata.sorted_tables
                if "video_id" in table.c
                and (
                    count := connection.execute(
                        select(func.count()).select_from(table).where(table.c.video_id == video_id)
                    ).scalar_one()
                )
            }

    def picture(self, video_id: str) -> str:
        """Return the SHA-256 of a picture of the video."""
        with self.lab.engine.connect() as connection:
            query = select(thumbnail_versions.c.sha256).where(thumbnail_versions.c.video_id == video_id)
            return connection.execute(query).scalars().first() or ""

    def retain_day(self, lab: Lab | None = None) -> Retained:
        """Do the deletions of one day: the retention of the niche, and then the clean-up of the lab."""
        retained = retain(lab or self.lab, NICHE)
        clean_lab(lab or self.lab)
        return retained

    def age_files(self) -> None:
        """Make the pictures ten years old.

        Retention deletes no picture that is less than an hour old, because a download may still need it. The age is
        computed with the emulator's time, which may be years earlier than this machine's time.
        """
        long_ago = time.time() - 10 * 365 * 86_400
        for path in self.lab.images.root.glob("??/*"):
            os.utime(path, (long_ago, long_ago))


def assert_deleted_everywhere(full: FullLab, video_id: str, picture: str) -> None:
    assert full.rows(video_id) == {}
    assert not full.lab.images.path(picture).exists()
    for release in full.lab.releases.all(INDEX, NICHE):
        assert video_id not in NicheIndex.video_ids(release)
    for scope in (NICHE, ALL):
        for release in full.lab.releases.all(LIBRARY_MAP, scope):
            assert video_id not in read_points(release.path / POINTS).video_id
            assert picture not in read_pictures(release.read(PICTURES))
    for release in full.lab.releases.all(PAIRS, ALL):
        assert video_id.encode() not in (release.path / "videos.parquet").read_bytes()
