"""Divide a large map into tiles, so that a browser loads only the rows that it shows.

This file is generated: change `thumblab_core/library_map/tiles.py`, then run
`python -m thumblab_serving.client_models`.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Tile:
    """The place of a tile in its level, counted from the upper left, and the number of its rows."""

    x: int
    y: int
    rows: int


@dataclass(frozen=True, kw_only=True)
class TileLevel:
    """A level of tiles. Tiles without a point are left out. If `complete`, the tiles hold all points of the map."""

    level: int
    complete: bool
    tiles: list[Tile]


@dataclass(frozen=True, kw_only=True)
class Tiles:
    """The levels of tiles, from the whole map in one tile to the level that holds all points."""

    most: int
    """The largest number of rows of a tile of a level that is not complete."""

    levels: list[TileLevel]
