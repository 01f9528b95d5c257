"""Test the cache of channel adapters.

After a transient error, a file is read again. A damaged file is not read again.
"""

import numpy as np
import pytest

from thumblab_core.errors import LabError
from thumblab_core.ranking.adapters import Adapter, Adapters
from thumblab_core.ranking.packed_rows import PackedRows
from thumblab_serving.loading.cache import Cache, memory_of
from thumblab_serving.loading.channel_adapters import _load_once


@pytest.mark.parametrize(("error", "reads"), [(OSError(24, "Too many open files"), 2), (ValueError("no JSON"), 1)])
def test_damage_is_cached_and_transient_errors_are_retried(error, reads):
    cache, read = Cache(4), []

    def fail():
        read.append(1)
        raise error

    for _ in range(2):
        loaded = _load_once(cache, ("UCa", "release"), fail)
        assert isinstance(loaded, LabError)
        assert str(error) in str(loaded)
    assert len(read) == reads


def test_the_memory_of_an_adapter_read_from_a_file_is_counted(tmp_path):
    inputs = np.ones((1_000, 100), np.float16)
    Adapters({"UCa": Adapter(PackedRows.of(inputs), np.ones(1_000, np.float32), 1.0)}).save(tmp_path)
    read = Adapters.load(tmp_path).of("UCa", 100)
    assert memory_of(read) >= 1_000 * (100 * 2 + 4)
    assert (
        memory_of(read.history.dense[:1]) >= inputs.nbytes
    )  # `history.dense[:1]` is a numpy view of one row. A view keeps the memory of the whole array in use.
