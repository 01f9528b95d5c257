"""Tests of the packed form of inputs, in which an adapter stores its channel's history."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from thumblab_core.arrays import Float32s
from thumblab_core.ranking.packed_rows import PackedRows


@pytest.fixture
def rows() -> Float32s:
    """Rows [40, 300]: 60 dense columns, 200 columns with mostly zeros, and 40 columns with only zeros."""
    random = np.random.default_rng(0)
    made = random.standard_normal((40, 300)).astype(np.float32)
    made[:, 60:260] *= random.random((40, 200)) < 0.05
    made[:, 260:] = 0
    return made.astype(np.float16).astype(np.float32)


def test_packed_rows_unpack_to_the_same_numbers_in_less_memory(rows: Float32s) -> None:
    packed = PackedRows.of(rows)
    np.testing.assert_array_equal(packed.unpacked(), rows)
    assert packed.shape == rows.shape
    assert sum(array.nbytes for array in packed.tensors("x").values()) < 0.45 * rows.astype(np.float16).nbytes


@pytest.mark.parametrize("shape", [(0, 5), (3, 0), (1, 4)])
def test_small_shapes_can_be_packed(shape: tuple[int, int]) -> None:
    np.testing.assert_array_equal(PackedRows.of(np.ones(shape, np.float32)).unpacked(), np.ones(shape))


def test_packed_rows_are_read_back_from_a_file_and_so_are_the_plain_rows_of_older_files(
    rows: Float32s, tmp_path: Path
) -> None:
    older = {"a/history": rows.astype(np.float16)}
    for number, tensors in enumerate((PackedRows.of(rows).tensors("a/history"), older)):
        save_file(tensors, tmp_path / str(number))
        read = PackedRows.read(load_file(tmp_path / str(number)), "a/history")
        assert read is not None
        np.testing.assert_array_equal(read.unpacked(), rows)


@pytest.mark.parametrize("field", ["columns", "values", "places", "starts", "width"])
def test_arrays_that_contradict_each_other_are_refused(rows: Float32s, field: str) -> None:
    tensors = PackedRows.of(rows).tensors("x")
    broken = tensors | {f"x.{field}": tensors[f"x.{field}"][:-1] if field != "width" else np.array([3], np.int32)}
    assert PackedRows.read(tensors, "x") is not None
    assert PackedRows.read(broken, "x") is None
