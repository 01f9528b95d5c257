"""Test the Arrow files of library maps: the points, and the tiles of large maps."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from demo.planted_map import planted_map
from thumblab_core.library_map.points import MapFileError, read_points, read_table, write_points, write_table
from thumblab_core.library_map.tiles import read_tiles, tile_name, write_tiles

CONTENT = planted_map(3_000)


def test_points_survive_writing_and_reading(tmp_path: Path) -> None:
    write_points(tmp_path / "points.arrow", CONTENT.points)
    back = read_points(tmp_path / "points.arrow")
    for field in fields(back):
        written, read = getattr(CONTENT.points, field.name), getattr(back, field.name)
        if field.name == "sub_scores":
            assert written.keys() == read.keys()
            for name in read:
                np.testing.assert_array_equal(read[name], written[name])
        else:
            np.testing.assert_array_equal(read, written)


def test_the_file_has_one_uncompressed_batch_without_nulls(tmp_path: Path) -> None:
    write_points(tmp_path / "points.arrow", CONTENT.points.take(np.arange(0, 3_000, 2)))
    reader = pa.ipc.open_file(str(tmp_path / "points.arrow"))
    assert reader.num_record_batches == 1
    batch = reader.get_batch(0)
    assert batch.num_rows == 1_500
    # In memory, the columns are uncompressed. If the file is not smaller than the columns, the file is uncompressed
    # too.
    assert (tmp_path / "points.arrow").stat().st_size >= batch.nbytes
    assert not any(column.null_count for column in batch.columns)
    assert pa.types.is_dictionary(batch.schema.field("niche").type)


@pytest.mark.parametrize("damage", ["cut", "noise", "column", "format"])
def test_a_damaged_file_is_an_error_that_names_the_file(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "points.arrow"
    write_points(path, CONTENT.points)
    table = read_table(path)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    elif damage == "noise":
        path.write_bytes(b"ARROW1\0\0" + b"\xff" * 1_000)
    elif damage == "column":
        write_table(path, table.drop_columns(["tile"]))
    else:
        write_table(path, table.replace_schema_metadata({}))
    with pytest.raises(MapFileError, match=r"points\.arrow"):
        read_points(path)


def test_every_damage_is_the_error_of_a_damaged_map(tmp_path: Path) -> None:
    path = tmp_path / "points.arrow"
    write_points(path, planted_map(60).points)
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    refused = 0
    for number in range(300):
        damaged = bytearray(whole)
        for _ in range(1 + number % 4):
            damaged[random.integers(len(damaged))] = random.integers(256)
        path.write_bytes(damaged)
        try:
            read_points(path)
        except MapFileError:
            refused += 1
    assert refused > 100


@pytest.mark.parametrize(
    "column", [pa.array(["a"] * 60), pa.array([None] * 60, pa.float32()), pa.array([1.0] * 60, pa.float64())]
)
def test_a_column_of_another_type_is_refused(tmp_path: Path, column: pa.Array) -> None:
    path = tmp_path / "points.arrow"
    write_points(path, planted_map(60).points)
    table = read_table(path)
    write_table(path, table.set_column(table.schema.get_field_index("x"), "x", [column]))
    with pytest.raises(MapFileError, match=r"points\.arrow needs a column x of type float"):
        read_points(path)


def test_the_last_level_of_tiles_holds_each_point_once_and_the_others_hold_samples(tmp_path: Path) -> None:
    points = planted_map(20_000).points
    tiles = read_tiles(write_tiles(tmp_path, points).model_dump_json().encode())
    assert [level.complete for level in tiles.levels] == [False] * (len(tiles.levels) - 1) + [True]
    shown: set[str] = set()
    for level in tiles.levels:
        ids: list[str] = []
        for tile in level.tiles:
            part = read_points(tmp_path / tile_name(level.level, tile.x, tile.y))
            side = 2**level.level
            assert (np.minimum(part.x * side, side - 1).astype(int) == tile.x).all()
            assert (np.minimum(part.y * side, side - 1).astype(int) == tile.y).all()
            assert len(part) == tile.rows
            assert level.complete or tile.rows <= tiles.most
            ids += part.video_id
        assert len(ids) == len(set(ids))
        # A more detailed level has all points of the previous level.
        assert shown <= set(ids)
        shown = set(ids)
    assert shown == set(points.video_id)
    assert tiles.levels[0].tiles[0].rows == tiles.most
