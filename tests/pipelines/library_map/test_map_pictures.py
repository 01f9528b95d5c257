"""Test which tile of the atlases each picture of a map gets."""

import numpy as np

from thumblab_core.library_map.points import NO_TILE
from thumblab_pipelines.library_map.pictures import assign_tiles

PAGE = 256


def test_pictures_that_are_near_on_the_map_are_on_few_pages() -> None:
    places = np.random.default_rng(0).random((4_096, 2))
    tiles, _ = assign_tiles([f"{number}" for number in range(4_096)], (), places)
    assert sorted(tiles.tolist()) == list(range(4_096))
    in_sight = np.abs(places - 0.5).max(1) < 0.1
    assert in_sight.sum() > 100
    assert len(set((tiles[in_sight] // PAGE).tolist())) <= 6  # There are 16 pages of tiles in total.


def test_a_picture_keeps_its_tile_and_new_ones_fill_the_empty_tiles() -> None:
    places = np.array([[0.9, 0.9], [0.5, 0.5], [0.1, 0.1], [0.1, 0.1], [0.0, 0.0]])
    tiles, pictures = assign_tiles(["new", "kept", "first", "first", None], ["gone", "kept"], places)
    assert pictures == ["first", "kept", "new"]
    assert tiles.tolist() == [2, 1, 0, 0, NO_TILE]
