"""Tests of tables that have dense and sparse columns, and of ridge regressions that are fitted to such tables.

A regression needs only sums over the rows.
"""

import numpy as np
import pytest
from scipy.sparse import csr_array, random_array

from thumblab_core.arrays import Flags, Float32s, Rows
from thumblab_pipelines.statistics import mixed_rows
from thumblab_pipelines.statistics.mixed_rows import MixedRows
from thumblab_pipelines.statistics.sums import Sums


@pytest.fixture
def mixed(monkeypatch: pytest.MonkeyPatch) -> MixedRows:
    """A table of 103 rows, read in blocks of ten. It has four dense, then thirty sparse, then two dense columns."""
    monkeypatch.setattr(mixed_rows, "BLOCK", 10)
    random = np.random.default_rng(0)
    before, after = (random.standard_normal((103, width)).astype(np.float32) for width in (4, 2))
    words = csr_array(random_array((103, 30), density=0.1, rng=random, dtype=np.float32))
    return MixedRows((before, words, after))


def as_array(rows: MixedRows) -> Float32s:
    return np.hstack([part if isinstance(part, np.ndarray) else part.toarray() for part in rows.parts])


def squared(block: Float32s) -> Float32s:
    return block[:, 3:8] ** 2


def test_mixed_rows_read_like_the_dense_array_of_all_their_columns(mixed: MixedRows) -> None:
    dense, some = as_array(mixed), np.array([5, 2, 99, 2])
    np.testing.assert_array_equal(mixed.dense(), dense)
    np.testing.assert_array_equal(mixed[some], dense[some])
    np.testing.assert_array_equal(mixed[dense[:, 0] > 0], dense[dense[:, 0] > 0])
    assert (len(mixed), mixed.width) == dense.shape
    blocks = list(mixed.blocks())
    np.testing.assert_array_equal(np.concatenate([block for _, block in blocks]), dense)
    assert max(len(block) for _, block in blocks) == 10


@pytest.mark.parametrize("chosen", [np.array([7, 3, 50, 3, 90]), np.arange(103) % 3 == 0])
def test_chosen_and_changed_rows_read_like_the_same_steps_on_the_dense_array(
    mixed: MixedRows, chosen: Rows | Flags
) -> None:
    expected = squared(as_array(mixed)[chosen])
    view = mixed.take(chosen).through(squared)
    np.testing.assert_array_equal(view.dense(), expected)
    np.testing.assert_array_equal(view.take(np.array([1, 0])).dense(), expected[[1, 0]])
    np.testing.assert_array_equal(view.through(np.negative).dense(), -expected)
    np.testing.assert_array_equal(view.mapped(lambda block: block.sum(axis=1)), expected.sum(axis=1))
    assert (len(view), view.width) == expected.shape


def test_the_moments_of_mixed_rows_are_those_of_the_dense_array_also_far_from_zero(mixed: MixedRows) -> None:
    far = mixed.through(lambda block: block + np.float32(1_000))
    mean, spread = far.moments()
    dense = far.dense().astype(np.float64)
    np.testing.assert_allclose(mean, dense.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(spread, dense.std(axis=0), atol=1e-9)


def test_a_ridge_regression_from_sums_is_that_of_the_closed_form(mixed: MixedRows) -> None:
    x = as_array(mixed).astype(np.float64) + 0
    y = np.random.default_rng(1).standard_normal((103, 3)) + 5
    fitted = Sums.of(mixed, y).ridge(2.0)
    centred = x - x.mean(axis=0)
    expected = np.linalg.solve(centred.T @ centred + 2.0 * np.eye(36), centred.T @ (y - y.mean(axis=0)))
    np.testing.assert_allclose(fitted, expected, atol=1e-5)


def test_sums_without_a_group_are_the_sums_of_the_other_rows(mixed: MixedRows) -> None:
    y, out = np.random.default_rng(1).standard_normal((103, 1)), np.arange(103) % 4 == 0
    without = Sums.of(mixed, y) - Sums.of(mixed.take(out), y[out])
    np.testing.assert_allclose(without.ridge(1.0), Sums.of(mixed.take(~out), y[~out]).ridge(1.0), atol=1e-5)
    both = Sums.of(mixed.take(out), y[out]) + Sums.of(mixed.take(~out), y[~out])
    assert both.count == 103
    np.testing.assert_allclose(both.ridge(1.0), Sums.of(mixed, y).ridge(1.0), atol=1e-5)
