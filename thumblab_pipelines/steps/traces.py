"""What a forgotten video leaves behind in releases and in the image store, and how it is taken out.

Each function compares what is there with what the `videos` table still has; none needs to know what was forgotten, or when.
"""

from collections.abc import Iterable

import numpy as np
from sqlalchemy import Connection, select

from thumblab_core.database.tables import thumbnail_versions, thumbnails, videos
from thumblab_core.errors import LabError
from thumblab_core.index import NicheIndex
from thumblab_core.releases import ALL, INDEX, PAIRS, Release
from thumblab_pipelines.steps.lab import Lab, inputs_digest
from thumblab_pipelines.steps.library import prune_indices

_UNUSED_S = 3_600.0
"""A picture that no row names may belong to a download that is about to write its row."""


def alive_videos(connection: Connection, niche: str | None = None) -> set[str]:
    """Ids of the videos that the lab has, of a niche or of all."""
    statement = select(videos.c.video_id)
    return set(connection.scalars(statement.where(videos.c.niche == niche) if niche else statement))


def stale_indices(lab: Lab, niche: str) -> tuple[list[Release], set[str]]:
    """The index releases of the niche that hold a video which the lab no longer has, or that cannot be read; and the
    videos that it has."""
    with lab.engine.connect() as connection:
        alive = alive_videos(connection, niche)
    return [release for release in lab.releases.all(INDEX, niche) if not _holds_only(release, alive)], alive


def _holds_only(release: Release, alive: set[str]) -> bool:
    try:
        return NicheIndex.video_ids(release) <= alive
    except (OSError, ValueError, KeyError, TypeError):
        return False  # nobody can say what a damaged release holds


def clean_indices(lab: Lab, niche: str, run_id: str | None) -> int:
    """Serve the niche's index without the rows of forgotten videos, and delete every release that has any."""
    with lab.releases.changing(INDEX, niche):
        stale, alive = stale_indices(lab, niche)
        served = lab.releases.current_id(INDEX, niche)
        for release in stale:
            if release.release_id != served:
                continue
            left = _without(lab, release, alive, run_id)
            if left is None:
                lab.releases.withdraw(INDEX, niche)
            else:
                lab.releases.promote(left)
        _remove(lab, stale)
        lost = lab.releases.discard_unreadable(INDEX, niche)
        prune_indices(lab, niche)  # what a writer that died left behind may hold anything
    return len(stale) + len(lost)


def _without(lab: Lab, release: Release, alive: set[str], run_id: str | None) -> Release | None:
    """The same index with the rows of living videos only, published; None when hardly anything is left, or it is damaged."""
    try:
        index = NicheIndex.load(release)
    except LabError:
        return None
    # What was changed since stays a change, so that a build that was read before it is told of it.
    changes = [pair for pair in index.changes.pairs() if pair[0].video_id in alive]
    of_base = alive - {change.video_id for change, _ in changes}
    rows = np.array([row for row, item in enumerate(index.items) if item.video_id in of_base], dtype=np.intp)
    if len(rows) < 2:
        return None
    # Built at once: a change would leave the forgotten rows in the files. The quantiles of sub-scores name nobody.
    trimmed = NicheIndex.build(
        index.vectors()[rows],
        [index.items[row] for row in rows],
        index.encoder,
        index.scores,
        release.info["faiss"],
        lab.settings.index_recall,
    ).changed(changes)
    info = release.info | trimmed.describe()
    info |= {
        "inputs": inputs_digest("retention", release.release_id, [item.video_id for item in trimmed.items]),
    }
    return lab.releases.publish(INDEX, release.scope, trimmed.save, info, run_id)


def clean_pairs(lab: Lab) -> int:
    """Delete the pairs releases that have forgotten videos; the next training makes them anew from what is there."""
    import pyarrow.parquet as parquet

    with lab.engine.connect() as connection:
        alive = alive_videos(connection)
    stale = []
    for release in lab.releases.all(PAIRS, ALL):
        try:
            table = parquet.read_table(release.path / "videos.parquet", columns=["video_id"])
            whole = set(table["video_id"].to_pylist()) <= alive
        except (OSError, ValueError, KeyError):
            whole = False  # damaged, or the run of another niche removed it just now
        if not whole:
            stale.append(release)
    _remove(lab, stale)
    return len(stale)


def _remove(lab: Lab, releases: Iterable[Release]) -> None:
    for release in releases:
        lab.releases.remove(release)


def clean_images(lab: Lab) -> int:
    """Delete the pictures that neither a thumbnail nor an earlier version of one names."""
    with lab.engine.connect() as connection:
        named = set(connection.scalars(select(thumbnails.c.sha256).where(thumbnails.c.sha256.is_not(None))))
        named |= set(connection.scalars(select(thumbnail_versions.c.sha256)))
    return sum(lab.images.remove(sha256) for sha256 in lab.images.older_than(_UNUSED_S) if sha256 not in named)
