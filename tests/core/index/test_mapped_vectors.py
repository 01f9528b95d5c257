"""Tests of vectors that are mapped from a file: a process keeps little of the file in its memory."""

import json
from pathlib import Path

import numpy as np
import psutil

from thumblab_core.index import Item, mapped
from thumblab_core.index.files import items_json
from thumblab_core.index.mapped import Pages


def resident(path: Path) -> int:
    """Return how many bytes of the file are counted as memory of this process."""
    return sum(part.rss for part in psutil.Process().memory_maps() if part.path == str(path.resolve()))


def test_the_pages_of_mapped_vectors_are_given_back_after_many_reads(tmp_path: Path) -> None:
    path = tmp_path / "vectors.npy"
    rows = 2 * mapped._READ_ROWS
    np.save(path, np.arange(rows * 256, dtype=np.float32).reshape(rows, 256))
    vectors = mapped.mapped(path)
    pages = Pages(vectors)
    total = float(vectors[: rows // 2].sum(dtype=np.float64))
    assert resident(path) > rows * 256
    pages.count(rows // 2 - 1)
    assert resident(path) > rows * 256
    pages.count(1)
    assert resident(path) < rows * 64
    assert float(vectors[: rows // 2].sum(dtype=np.float64)) == total


def test_vectors_in_memory_have_no_pages_to_give_back() -> None:
    vectors = np.ones((3, 2), np.float32)
    Pages(vectors).count(mapped._READ_ROWS)
    assert vectors.sum() == 6


def test_items_are_written_in_parts_of_one_list() -> None:
    items = [Item(f"v{row}", 'A "title", of two', "c", None, 1.0, None) for row in range(20_001)]
    whole = b"".join(items_json(items))
    assert whole.count(b'"video_id"') == len(items)
    assert np.array_equal([item["video_id"] for item in json.loads(whole)], [item.video_id for item in items])
    assert b"".join(items_json([])) == b"[]"
