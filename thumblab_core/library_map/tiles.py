"""Divide a large map into tiles, so that a browser loads only the points that it shows.

The tiles of level L are the 2^L x 2^L equal squares of the map. A tile contains a sample of at most `MOST` of its
points. The tiles of the last level contain all points. If a point is in a tile of one level, each later level also has
the point. So zooming in only adds points.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from thumblab_core.library_map.points import Points, to_table, write_table

TILES = "tiles.json"
LARGE = 150_000
"""The smallest number of points for which a map has tiles."""
MOST = 4_000
"""The largest number of points in a tile. Tiles of the last level may have more."""
_DEEPEST = 6
_SPREAD = 4
"""If n points were evenly spread, n / `MOST` tiles would be enough. Because points are not evenly spread, the last
level has at least `_SPREAD` * n / `MOST` tiles.
"""


class Tile(BaseModel):
    """The column `x` and the row `y` of a tile in its level, from the upper left, and the number of its points."""

    model_config = ConfigDict(frozen=True)

    x: int = Field(ge=0)
    y: int = Field(ge=0)
    rows: int = Field(ge=1)


class TileLevel(BaseModel):
    """A level of tiles. Tiles without a point are left out. If `complete` is true, the tiles contain all points of the
    map.
    """

    model_config = ConfigDict(frozen=True)

    level: int = Field(ge=0)
    complete: bool
    tiles: tuple[Tile, ...]


class Tiles(BaseModel):
    """The levels of tiles, from the whole map in one tile to the level that contains all points."""

    model_config = ConfigDict(frozen=True)

    most: int = Field(description="The largest number of points in a tile, in each level that is not complete.")
    levels: tuple[TileLevel, ...]


def tile_name(level: int, x: int, y: int) -> str:
    """Return the name of the file of a tile."""
    return f"tiles/{level}/{x}-{y}.arrow"


def write_tiles(folder: Path, points: Points) -> Tiles:
    """Write the tiles of a map and their list `tiles.json`. Return the list."""
    last = next(
        (level for level in range(_DEEPEST) if 4**level * MOST >= _SPREAD * len(points)),
        _DEEPEST,
    )
    table = to_table(points)
    order = np.random.default_rng(0).permutation(len(points))
    levels = []
    for level in range(last + 1):
        (folder / "tiles" / str(level)).mkdir(parents=True)
        tiles = []
        for x, y, rows in _tiles_of(points, order, level):
            kept = np.sort(rows if level == last else rows[:MOST])
            write_table(folder / tile_name(level, x, y), table.take(kept).unify_dictionaries())
            tiles.append(Tile(x=x, y=y, rows=len(kept)))
        levels.append(TileLevel(level=level, complete=level == last, tiles=tuple(tiles)))
    made = Tiles(most=MOST, levels=tuple(levels))
    (folder / TILES).write_text(made.model_dump_json())
    return made


def read_tiles(content: bytes) -> Tiles:
    """Return the list of tiles of a map. Raises `ValueError` if `content` is not a list of tiles."""
    return Tiles.model_validate(json.loads(content))


def _tiles_of(
    points: Points, order: npt.NDArray[np.int64], level: int
) -> Iterator[tuple[int, int, npt.NDArray[np.int64]]]:
    """Yield the place of each tile of a level, and the rows of its points in the order of `order`. A tile without
    points is left out.
    """
    side = 2**level
    x = np.minimum((points.x[order].astype(np.float64) * side).astype(np.int64), side - 1)
    y = np.minimum((points.y[order].astype(np.float64) * side).astype(np.int64), side - 1)
    key = y * side + x
    by_tile = np.argsort(key, kind="stable")
    starts = np.flatnonzero(np.diff(key[by_tile], prepend=-1))
    for rows in np.split(by_tile, starts[1:]):
        place = int(key[rows[0]])
        yield place % side, place // side, order[rows]
