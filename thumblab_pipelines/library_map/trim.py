"""Remove videos from the maps: videos that the lab has deleted, and videos that a person took out of the library."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from functools import partial

import numpy as np
from sqlalchemy import select

from thumblab_core.arrays import Rows
from thumblab_core.database.tables import library_exclusions, videos
from thumblab_core.errors import LabError
from thumblab_core.library_map.atlases import PICTURES, read_pictures
from thumblab_core.library_map.clusters import CLUSTERS, COARSE, read_clusters
from thumblab_core.library_map.files import LIBRARY_MAP, MapContent, write_map
from thumblab_core.library_map.map_figures import Cluster
from thumblab_core.library_map.points import POINTS, Points, read_points
from thumblab_core.releases.moves import replace_stale
from thumblab_core.releases.release import ALL, IN_PLACE_OF, Release, require_damage
from thumblab_pipelines.lab import Lab, inputs_digest
from thumblab_pipelines.library_map.pictures import reader


def mappable_videos(lab: Lab, scope: str) -> set[str]:
    """Return the ids of the videos that a map may show: all videos that the lab has, except videos that a person took
    out of the library.
    """
    statement = select(videos.c.video_id).where(
        videos.c.video_id.not_in(select(library_exclusions.c.video_id)),
        *([] if scope == ALL else [videos.c.niche == scope]),
    )
    with lab.engine.connect() as connection:
        return set(connection.scalars(statement))


def stale_maps(lab: Lab, scope: str) -> tuple[list[Release], set[str]]:
    """Return the stale maps, and the ids of the videos that a map may show. A map is stale if it shows a video that it
    may not show, or if it is damaged.
    """
    allowed = mappable_videos(lab, scope)
    return [release for release in lab.releases.all(LIBRARY_MAP, scope) if not _shows_only(release, allowed)], allowed


def _shows_only(release: Release, allowed: set[str]) -> bool:
    try:
        return set(read_points(release.path / POINTS).video_id) <= allowed
    except (LabError, OSError, ValueError) as error:
        require_damage(release, error)
        return False  # A damaged map may show a deleted video.


def clean_maps(lab: Lab, scopes: Sequence[str], run_id: str | None = None) -> int:
    """Delete the stale maps, see `stale_maps`. Return the number of deleted maps.

    If the served map is stale, a new map without the points, titles and pictures of the removed videos is served
    instead. If no video is left, or if the served map is damaged, no map is served. Raises `UnreadError` if a release
    cannot be read at the moment.
    """
    cleaned = 0
    for scope in scopes:
        if (LIBRARY_MAP, scope) not in lab.releases.scopes(LIBRARY_MAP):
            continue
        with lab.releases.serving.changing(LIBRARY_MAP, scope):
            stale, allowed = stale_maps(lab, scope)
            served = lab.releases.serving.current_id(LIBRARY_MAP, scope)
            replace_stale(lab.releases, stale, served, partial(publish_trimmed, lab, allowed=allowed, run_id=run_id))
            cleaned += len(stale) + len(lab.releases.discard_unreadable(LIBRARY_MAP, scope))
            # A killed process may have left incomplete maps with deleted videos. `prune_maps` deletes the incomplete
            # maps too.
            prune_maps(lab, scope)
    return cleaned


def publish_trimmed(lab: Lab, release: Release, allowed: Collection[str], run_id: str | None = None) -> Release | None:
    """Publish a new map with only the points of `release` whose videos are in `allowed`.

    The points keep their places. The clusters keep their labels, traits and figures until the next build. Return None
    if the map is damaged, or if no point is left.
    """
    try:
        points = read_points(release.path / POINTS)
        pictures = read_pictures(release.read(PICTURES))
        clusters = read_clusters(release.read(CLUSTERS))
        release.verify()
    except (LabError, ValueError) as error:
        require_damage(release, error)
        return None
    rows = np.array([row for row, video_id in enumerate(points.video_id) if video_id in allowed], np.intp)
    if not len(rows):
        return None
    left = points.take(rows)
    used = set(left.tile.tolist())
    shown = [picture if tile in used else None for tile, picture in enumerate(pictures)]
    described = [part for cluster in clusters if (part := _without(cluster, left)) is not None]
    content = MapContent(left, described, shown)
    info = release.info | {
        "inputs": inputs_digest("trimmed", release.release_id, left.video_id),
        IN_PLACE_OF: release.place_in_history,
        "videos": len(left),
        "clusters": len(described),
        "rising": sum(cluster.growth.rising for cluster in described),
    }
    return lab.releases.publish(
        LIBRARY_MAP,
        release.scope,
        lambda into: write_map(into, content, reader(lab.images), release.path),
        info,
        run_id,
    )


def prune_maps(lab: Lab, scope: str) -> list[str]:
    """Delete old maps and return their ids. The map that was served before a rollback is kept."""
    held = lab.releases.serving.held(LIBRARY_MAP, scope)
    spare = [held.displaced] if held is not None and held.displaced else []
    return lab.releases.prune(LIBRARY_MAP, scope, lab.settings.releases_kept, spare)


def _without(cluster: Cluster, left: Points) -> Cluster | None:
    """Return the cluster with only the points in `left`, or None if none of its points is left."""
    column = left.cluster if cluster.level == COARSE else left.fine_cluster
    rows: Rows = np.flatnonzero(column == cluster.id)
    if not len(rows):
        return None
    channels = Counter(left.channel[row] for row in rows.tolist())
    ids = [left.video_id[row] for row in rows.tolist()]
    if cluster.medoid not in ids:
        away = np.hypot(left.x[rows] - cluster.x, left.y[rows] - cluster.y)
        cluster = cluster.model_copy(update={"medoid": ids[int(np.argmin(away))]})
    return cluster.model_copy(update={"videos": len(rows), "channels": min(cluster.channels, len(channels))})
