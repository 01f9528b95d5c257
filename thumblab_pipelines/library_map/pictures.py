"""Choose the tile of each picture in the atlases, and read pictures from the image store.

The atlases consist of pages. A page is a large image, which a browser loads as a whole. A page is a grid of tiles, and
each tile shows one small picture.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Float64s, Rows
from thumblab_core.image_store import ImageStore
from thumblab_core.images.limits import ImageError
from thumblab_core.images.small_copy import small_picture
from thumblab_core.library_map.atlases import WIDTH, Pixels
from thumblab_core.library_map.points import NO_TILE

_MOST_EMPTY = 0.5
"""If more than this share of the tiles would be empty, all pictures get new tiles."""
_BITS = 10
"""To order pictures by their places, the map is divided into a grid with 2^10 cells on each side."""


def assign_tiles(
    wanted: Sequence[str | None], earlier: Sequence[str | None], places: Float64s
) -> tuple[npt.NDArray[np.int32], list[str | None]]:
    """Return the tile of each of the n `wanted` pictures, int32 [n], and the picture of each tile.

    A picture keeps the tile that it has in the `earlier` list, so that most pages stay the same. New pictures fill the
    empty tiles first. New pictures with near `places` [n, 2] get near tiles, so a browser that shows a part of the map
    needs few pages. Equal pictures share a tile. A wanted picture that is None has the tile `NO_TILE`.
    """
    needed = {picture for picture in wanted if picture is not None}
    tiles: list[str | None] = [picture if picture in needed else None for picture in earlier]
    if len(tiles) > len(needed) / (1 - _MOST_EMPTY):
        tiles = []
    place = {picture: tile for tile, picture in enumerate(tiles) if picture is not None}
    empty = iter([tile for tile, picture in enumerate(tiles) if picture is None])
    for row in _by_place(places).tolist():
        picture = wanted[row]
        if picture is None or picture in place:
            continue
        tile = next(empty, len(tiles))
        if tile == len(tiles):
            tiles.append(None)
        tiles[tile] = picture
        place[picture] = tile
    numbers = [NO_TILE if picture is None else place[picture] for picture in wanted]
    return np.array(numbers, np.int32), tiles


def _by_place(places: Float64s) -> Rows:
    """Return the row numbers of the places [n, 2], 0 to 1, in Z-order. In this order, places that follow each other are
    mostly near to each other.
    """
    cells = np.clip(places * 2**_BITS, 0, 2**_BITS - 1).astype(np.int64)
    key = np.zeros(len(cells), np.int64)
    for bit in range(_BITS):
        for axis in (0, 1):
            key |= ((cells[:, axis] >> bit) & 1) << (2 * bit + axis)
    return np.argsort(key, kind="stable")


def reader(images: ImageStore) -> Callable[[str], Pixels | None]:
    """Return a function that reads the pixels of a tile from the image store. The function returns None if the picture
    cannot be read.
    """

    def read(sha256: str) -> Pixels | None:
        try:
            return np.asarray(small_picture(images.get(sha256), WIDTH).convert("RGB"))
        except ImageError:
            return None

    return read
