"""Test the atlases of library maps: which picture each tile shows, and which pages are made again.

An atlas page is a large picture with many small pictures, which are called tiles.
"""

import hashlib
from pathlib import Path

import numpy as np
from PIL import Image

from demo.planted_map import planted_map, planted_tile
from thumblab_core.library_map.atlases import Atlases, Pixels, page_name, read_atlases, read_pictures, write_atlases
from thumblab_core.library_map.clusters import read_clusters
from thumblab_core.library_map.files import write_map
from thumblab_core.library_map.points import read_points

PICTURES = [f"{number:064x}" for number in range(1_100)]


def tile_shown(folder: Path, atlases: Atlases, level: int, tile: int) -> Pixels:
    """Cut a tile out of its atlas page, as a browser does, and return the pixels of the tile."""
    of = atlases.levels[level]
    page, position = divmod(tile, of.columns * of.rows)
    row, column = divmod(position, of.columns)
    left, top = column * of.tile_width, row * of.tile_height
    with Image.open(folder / page_name(of.pages[page])) as image:
        return np.asarray(image.crop((left, top, left + of.tile_width, top + of.tile_height)))


def test_each_tile_shows_its_picture_at_every_level_of_detail(tmp_path: Path) -> None:
    made, empty = write_atlases(tmp_path, PICTURES, planted_tile)
    atlases = read_atlases((tmp_path / "atlases.json").read_bytes())
    assert atlases == made and not empty
    assert [(level.tile_width, level.tile_height, len(level.pages)) for level in atlases.levels] == [
        (32, 18, 1),
        (64, 36, 2),
        (128, 72, 5),
    ]
    for number in (0, 15, 16, 255, 256, 777, 1_024, 1_099):
        expected = Image.fromarray(planted_tile(PICTURES[number]))
        for level in atlases.levels:
            wanted = np.asarray(expected.resize((level.tile_width, level.tile_height), Image.Resampling.BOX), int)
            assert np.abs(tile_shown(tmp_path, atlases, level.level, number) - wanted).mean() < 8


def test_every_page_is_named_by_its_content(tmp_path: Path) -> None:
    atlases, _ = write_atlases(tmp_path, PICTURES[:300], planted_tile)
    names = [page for level in atlases.levels for page in level.pages]
    assert sorted(path.stem for path in (tmp_path / "atlases").iterdir()) == sorted(set(names))
    for name in names:
        assert hashlib.sha256((tmp_path / page_name(name)).read_bytes()).hexdigest() == name


def test_only_pages_with_another_picture_are_drawn_again(tmp_path: Path) -> None:
    before, _ = write_atlases(tmp_path / "before", PICTURES, planted_tile)
    changed: list[str | None] = list(PICTURES)
    changed[300] = f"{5_000:064x}"
    changed[301] = None
    drawn: list[str] = []

    def load(picture: str) -> Pixels:
        drawn.append(picture)
        return planted_tile(picture)

    after, empty = write_atlases(tmp_path / "after", changed, load, tmp_path / "before")
    assert empty == {301}
    assert read_pictures((tmp_path / "after" / "pictures.json").read_bytes()) == changed
    assert drawn == [picture for picture in changed[256:512] if picture is not None]
    levels = zip(before.levels, after.levels, strict=True)
    same = [[one == other for one, other in zip(a.pages, b.pages, strict=True)] for a, b in levels]
    assert same == [[False], [False, True], [True, False, True, True, True]]
    assert not tile_shown(tmp_path / "after", after, 2, 301).any()
    # Tile 301 has no picture and is black. In the smallest tiles, JPEG mixes the colours of neighbouring tiles, so tile
    # 301 is only nearly black.
    assert tile_shown(tmp_path / "after", after, 0, 301).max() < 20


def test_a_picture_that_cannot_be_read_leaves_its_point_without_a_tile(tmp_path: Path) -> None:
    content = planted_map(500)
    unreadable = content.pictures[7]
    write_map(tmp_path, content, lambda picture: None if picture == unreadable else planted_tile(picture))
    tiles = read_points(tmp_path / "points.arrow").tile
    assert tiles[7] == -1
    assert tiles[8] == 8
    assert read_clusters((tmp_path / "clusters.json").read_bytes()) == tuple(content.clusters)


def test_pages_of_a_version_with_other_sizes_are_not_taken_over(tmp_path: Path) -> None:
    before, _ = write_atlases(tmp_path / "before", PICTURES, planted_tile)
    levels = [level.model_copy(update={"tile_width": level.tile_width // 2}) for level in before.levels]
    other = before.model_copy(update={"levels": tuple(levels)})
    (tmp_path / "before" / "atlases.json").write_text(other.model_dump_json())
    drawn: list[str] = []

    def load(picture: str) -> Pixels:
        drawn.append(picture)
        return planted_tile(picture)

    write_atlases(tmp_path / "after", PICTURES, load, tmp_path / "before")
    assert drawn == PICTURES
