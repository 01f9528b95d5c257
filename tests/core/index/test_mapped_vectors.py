"""Tests of vectors that are mapped from a file: a process keeps little of the file in its memory."""

import json
from pathlib import Path

import numpy as np
import psutil
import pytest

from thumblab_core.index import Item, mapped
from thumblab_core.index.files import items_json
from thumblab_core.index.mapped import Pages


def resident(path: Path) -> int:
    """Return how many bytes of the file are counted as memory of this process."""
    return sum(part.rss for part in psutil.Process().memory_maps() if part.path == str(path.resolve()))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of 16 MiB with 1,024 vectors. A vector takes 16 KiB."""
    np.save(tmp_path / "vectors.npy", np.ones((1_024, 4_096), np.float32))
    return tmp_path / "vectors.npy"


def test_the_pages_of_a_large_file_are_given_back_after_many_reads(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapped, "_MOST_RESIDENT", 2**23)
    vectors = mapped.mapped(path)
    pages = Pages(vectors)
    assert vectors.sum() == 2**22
    pages.count(127)
    assert resident(path) > 2**23
    pages.count(1)  # Each read may map 64 KiB, so 128 reads may map 8 MiB. This is the limit of what may stay mapped.
    assert resident(path) < 2**20
    assert vectors.sum() == 2**22


def test_the_pages_of_a_small_file_and_vectors_in_memory_stay(path: Path) -> None:
    vectors = mapped.mapped(path)
    assert vectors.sum() == 2**22
    Pages(vectors).count(10**9)
    assert resident(path) > 2**23
    Pages(np.ones((3, 2), np.float32)).count(10**9)


def test_items_are_written_in_parts_of_one_list() -> None:
    items = [Item(f"v{row}", 'A "title", of two', "c", None, 1.0, None) for row in range(20_001)]
    whole = b"".join(items_json(items))
    assert whole.count(b'"video_id"') == len(items)
    assert np.array_equal([item["video_id"] for item in json.loads(whole)], [item.video_id for item in items])
    assert b"".join(items_json([])) == b"[]"
