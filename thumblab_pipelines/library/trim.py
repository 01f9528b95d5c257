"""Publish an index release again without videos that the lab has deleted or that a person took out of the library."""

from collections.abc import Collection

import numpy as np
from sqlalchemy import select

from thumblab_core.database.tables import library_exclusions, videos
from thumblab_core.errors import LabError
from thumblab_core.index import NicheIndex
from thumblab_core.releases.release import IN_PLACE_OF, INDEX, Release, require_damage
from thumblab_pipelines.lab import Lab, inputs_digest


def without_removed(lab: Lab, release: Release) -> Release:
    """Return the release, or a release without its removed videos if it has some.

    A video is removed if it is no video of the niche any more, or if a person took it out of the library. Raises
    `LabError` if the release is damaged, or if fewer than 2 videos are left.
    """
    niche = release.scope
    of_niche = select(videos.c.video_id).where(videos.c.niche == niche)
    with lab.engine.connect() as connection:
        existing = set(connection.scalars(of_niche))
        taken_out = set(connection.scalars(select(library_exclusions.c.video_id)))
    index = NicheIndex.load(release)
    if NicheIndex.video_ids(release) <= existing and not any(video_id in index for video_id in taken_out):
        return release
    trimmed = publish_trimmed(lab, release, existing - taken_out)
    if trimmed is None:
        raise LabError(
            f"{release} cannot be served: without the videos that were removed since, fewer than 2 videos are left"
        )
    return trimmed


def publish_trimmed(lab: Lab, release: Release, allowed: Collection[str], run_id: str | None = None) -> Release | None:
    """Publish a new index release with only those rows of `release` whose videos are in `allowed`.

    Return None if the index is damaged, or if fewer than 2 rows are left.
    """
    try:
        index = NicheIndex.load(release)
    except LabError as error:
        require_damage(release, error)
        return None
    # The new index keeps the list of changes since the old index was built. Another build may be running, and may have
    # read the library before these changes. The list then shows which changes must be added when the other build is
    # promoted.
    changes = [pair for pair in index.changes.pairs() if pair[0].video_id in allowed]
    of_base = {*allowed} - {change.video_id for change, _ in changes}
    rows = np.array([row for row, item in enumerate(index.items) if item.video_id in of_base], dtype=np.intp)
    if len(rows) < 2:
        return None
    # The index is built from scratch. If the old index were changed instead, the rows of the deleted videos would stay
    # in its files. The quantiles of the sub-scores name no video, so they are copied from the old index.
    trimmed = NicheIndex.build(
        index.vectors()[rows],
        [index.items[row] for row in rows],
        index.encoder,
        index.scores,
        release.info["faiss"],
        lab.settings.index_recall,
    ).changed(changes)
    info = release.info | trimmed.describe() | {IN_PLACE_OF: release.place_in_history}
    info |= {
        "inputs": inputs_digest("retention", release.release_id, [item.video_id for item in trimmed.items]),
    }
    return lab.releases.publish(INDEX, release.scope, trimmed.save, info, run_id)
