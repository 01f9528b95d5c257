"""Write all files of a library map, and read them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from thumblab_core.library_map.atlases import Pixels, write_atlases
from thumblab_core.library_map.clusters import CLUSTERS, clusters_json
from thumblab_core.library_map.map_figures import Cluster
from thumblab_core.library_map.points import NO_TILE, POINTS, Points, write_points
from thumblab_core.library_map.tiles import LARGE, write_tiles

LIBRARY_MAP = "library_map"
"""Kind of the releases of library maps. Each niche is a scope, and `ALL` is the scope of the map of all niches."""


@dataclass(frozen=True)
class MapContent:
    """What a map shows. `pictures` has the SHA-256 of the picture of each tile, or None for a tile without a picture.
    The tile of a point is in the column `tile` of `points`.
    """

    points: Points
    clusters: Sequence[Cluster]
    pictures: Sequence[str | None]


def write_map(
    folder: Path, content: MapContent, load: Callable[[str], Pixels | None], earlier: Path | None = None
) -> None:
    """Write all files of a map into an empty folder.

    `load` returns the pixels of a picture for the atlases, see `atlases.write_atlases`. `earlier` is the folder of an
    earlier map, whose pages are used again. A point has the tile `NO_TILE` if its picture cannot be read.
    """
    _, empty = write_atlases(folder, content.pictures, load, earlier)
    shown = ~np.isin(content.points.tile, sorted(empty))
    points = replace(content.points, tile=np.where(shown, content.points.tile, NO_TILE).astype(np.int32))
    write_points(folder / POINTS, points)
    (folder / CLUSTERS).write_bytes(clusters_json(content.clusters))
    if len(points) >= LARGE:
        write_tiles(folder, points)
