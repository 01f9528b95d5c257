"""Atlases: pages with many small pictures. A browser loads a page in one request, and passes the page to the graphics
card.

Each small picture on a page is a tile. The same tiles are drawn in several sizes. A level contains all tiles in one
size, and tile n shows the same picture in every level. All pages have the same size in pixels. On a page, the tiles are
in rows, from left to right and from top to bottom. The name of a page is its SHA-256.
"""

import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from thumblab_core.durable_files import NO_LINKS

ATLASES = "atlases.json"
PICTURES = "pictures.json"

WIDTH, HEIGHT = 128, 72
"""The size in pixels of the largest tiles. On each lower level, the tiles have half the size of the level above."""
_LEVELS = 3
_COLUMNS = 16
"""The number of tiles in a row, and also the number of rows, on a page with the largest tiles."""
_QUALITY = 82

Pixels = npt.NDArray[np.uint8]
"""The pixels of a picture, RGB, uint8 [height, width, 3]."""


class AtlasLevel(BaseModel):
    """The pages of a level. Tile n is on page n // (columns * rows)."""

    model_config = ConfigDict(frozen=True)

    level: int = Field(ge=0, description="0 has the smallest tiles.")
    tile_width: int = Field(ge=1, description="In pixels.")
    tile_height: int = Field(ge=1, description="In pixels.")
    columns: int = Field(ge=1)
    rows: int = Field(ge=1)
    pages: tuple[str, ...] = Field(description="The SHA-256 of each page. It is also the name of the page.")


class Atlases(BaseModel):
    """The levels of the atlases, from the smallest tiles to the largest. `tiles` is the number of tiles."""

    model_config = ConfigDict(frozen=True)

    media_type: str = "image/jpeg"
    tiles: int = Field(ge=0)
    levels: tuple[AtlasLevel, ...]


def page_name(sha256: str) -> str:
    """Return the file name of an atlas page, of which `sha256` is the digest."""
    return f"atlases/{sha256}.jpg"


def write_atlases(
    folder: Path, pictures: Sequence[str | None], load: Callable[[str], Pixels | None], earlier: Path | None = None
) -> tuple[Atlases, set[int]]:
    """Write the pages of all levels, `atlases.json` and `pictures.json`. Return the atlases and the empty tiles.

    `pictures` has the SHA-256 of the picture of each tile, or None for an empty tile. `load` returns the pixels of a
    picture, [HEIGHT, WIDTH, 3], or None if the picture cannot be read. The tile is then empty. If a page of the map in
    the folder `earlier` has the same pictures, this page is linked and not drawn again.
    """
    (folder / "atlases").mkdir(parents=True)
    before = None if earlier is None else _Earlier.read(earlier)
    shown = list(pictures)
    columns = _COLUMNS
    levels = [_level(_LEVELS - 1, columns, _draw(folder, shown, load, before))]
    for level in reversed(range(_LEVELS - 1)):
        columns *= 2
        levels.append(_level(level, columns, _halve(folder, level, columns, levels[-1].pages, before)))
    made = Atlases(tiles=len(shown), levels=tuple(reversed(levels)))
    (folder / ATLASES).write_text(made.model_dump_json())
    (folder / PICTURES).write_text(json.dumps(shown))
    return made, {tile for tile, picture in enumerate(shown) if picture is None}


def read_atlases(content: bytes) -> Atlases:
    """Return the atlases of `atlases.json`. Raises `ValueError` if `content` does not describe atlases."""
    return Atlases.model_validate_json(content)


def read_pictures(content: bytes) -> list[str | None]:
    """Return the SHA-256 of the picture of each tile. Raises `ValueError` if `content` is not a list of pictures."""
    pictures = json.loads(content)
    if not isinstance(pictures, list) or not all(one is None or isinstance(one, str) for one in pictures):
        raise ValueError(f"{PICTURES} is not a list of names of pictures")
    return pictures


@dataclass(frozen=True)
class _Earlier:
    """The atlases of an earlier map in `folder`. Its pages are reused if they show the same pictures. All pages have
    the same sizes as the pages that this version of the lab writes.
    """

    folder: Path
    atlases: Atlases
    pictures: list[str | None]

    @classmethod
    def read(cls, folder: Path) -> "_Earlier | None":
        """Return the atlases in the folder. Return None if their pages have other sizes than the pages of this version
        of the lab.
        """
        atlases = read_atlases((folder / ATLASES).read_bytes())
        pictures = read_pictures((folder / PICTURES).read_bytes())
        same = len(atlases.levels) == _LEVELS and atlases.tiles == len(pictures)
        for level, found in enumerate(atlases.levels):
            columns = _COLUMNS << max(0, _LEVELS - 1 - level)
            pages = tuple(found.pages)
            same = same and found == _level(level, columns, pages) and len(pages) == -(-len(pictures) // columns**2)
        return cls(folder, atlases, pictures) if same else None

    def page_of(self, pictures: Sequence[str | None], page: int) -> str | None:
        """Return the name of the page with the number `page` in the highest level. Return None if the page shows other
        pictures than `pictures`.
        """
        size = _COLUMNS * _COLUMNS
        same = self.pictures[page * size : (page + 1) * size] == list(pictures)
        return self.atlases.levels[-1].pages[page] if same else None

    def half_of(self, level: int, pages: Sequence[str], page: int) -> str | None:
        """Return the name of the page with the number `page` in this level. The page shows four pages of the next level
        at half their size. Return None if these four pages are not `pages`.
        """
        same = self.atlases.levels[level + 1].pages[page * 4 : page * 4 + 4] == tuple(pages)
        return self.atlases.levels[level].pages[page] if same else None


def _level(level: int, columns: int, pages: Sequence[str]) -> AtlasLevel:
    halvings = _LEVELS - 1 - level
    return AtlasLevel(
        level=level,
        tile_width=WIDTH >> halvings,
        tile_height=HEIGHT >> halvings,
        columns=columns,
        rows=columns,
        pages=tuple(pages),
    )


def _draw(
    folder: Path, shown: list[str | None], load: Callable[[str], Pixels | None], before: _Earlier | None
) -> list[str]:
    """Write the pages of the largest tiles. If a picture cannot be read, set its entry in `shown` to None."""
    size = _COLUMNS * _COLUMNS
    pages = []
    for page, first in enumerate(range(0, len(shown), size)):
        kept = None if before is None else before.page_of(shown[first : first + size], page)
        if before is not None and kept is not None:
            _link(before.folder / page_name(kept), folder / page_name(kept))
            pages.append(kept)
            continue
        tiles = np.zeros((size, HEIGHT, WIDTH, 3), np.uint8)
        for position, picture in enumerate(shown[first : first + size]):
            pixels = None if picture is None else load(picture)
            if pixels is None:
                shown[first + position] = None
            else:
                tiles[position] = pixels
        pages.append(_write_page(folder, _joined(tiles, _COLUMNS)))
    return pages


def _halve(folder: Path, level: int, columns: int, of: Sequence[str], before: _Earlier | None) -> list[str]:
    """Write the pages of a level. `of`: the files of the level above, whose tiles are shown at half their size."""
    pages = []
    for page, first in enumerate(range(0, len(of), 4)):
        sources = of[first : first + 4]
        kept = None if before is None else before.half_of(level, sources, page)
        if before is not None and kept is not None:
            _link(before.folder / page_name(kept), folder / page_name(kept))
            pages.append(kept)
            continue
        tiles = np.concatenate([_halved_tiles(folder / page_name(source), columns // 2) for source in sources])
        empty = np.zeros((columns * columns - len(tiles), *tiles.shape[1:]), np.uint8)
        pages.append(_write_page(folder, _joined(np.concatenate([tiles, empty]), columns)))
    return pages


def _halved_tiles(path: Path, columns: int) -> Pixels:
    """Return the tiles of a page with `columns` columns and rows, at half their size, uint8 [columns^2, h, w, 3]."""
    from PIL import Image

    with Image.open(path) as page:
        halved = np.asarray(page.reduce(2))
    height, width = halved.shape[0] // columns, halved.shape[1] // columns
    grid = halved.reshape(columns, height, columns, width, 3)
    return grid.transpose(0, 2, 1, 3, 4).reshape(columns * columns, height, width, 3)


def _joined(tiles: Pixels, columns: int) -> Pixels:
    """Join `tiles`, uint8 [columns^2, h, w, 3], to one page, uint8 [columns * h, columns * w, 3]."""
    height, width = tiles.shape[1:3]
    grid = tiles.reshape(columns, columns, height, width, 3).transpose(0, 2, 1, 3, 4)
    return np.ascontiguousarray(grid.reshape(columns * height, columns * width, 3))


def _write_page(folder: Path, pixels: Pixels) -> str:
    from PIL import Image

    out = io.BytesIO()
    # Colours keep their full resolution. At a reduced resolution, a block of JPEG could mix the colours of two tiles.
    Image.fromarray(pixels).save(out, "JPEG", quality=_QUALITY, subsampling=0)
    sha256 = hashlib.sha256(out.getvalue()).hexdigest()
    (folder / page_name(sha256)).write_bytes(out.getvalue())
    return sha256


def _link(path: Path, to: Path) -> None:
    """Make `to` a hard link to the file `path`, or a copy of it if the file system has no hard links."""
    try:
        os.link(path, to)
    except FileExistsError:
        return  # Another page with the same pictures has already made this file.
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        shutil.copyfile(path, to)
