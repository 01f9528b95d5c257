"""What is remembered of a history that cannot be read: damage, and nothing that may be over by the next request."""

import pytest

from thumblab_core.errors import LabError
from thumblab_serving.cache import Cache
from thumblab_serving.histories import _read_once


@pytest.mark.parametrize(("error", "reads"), [(OSError(24, "Too many open files"), 2), (ValueError("no JSON"), 1)])
def test_damage_is_read_once_and_what_the_system_refused_again(error, reads):
    cache, read = Cache(4), []

    def fail():
        read.append(1)
        raise error

    for _ in range(2):
        found = _read_once(cache, ("UCa", "release"), fail)
        assert isinstance(found, LabError)
        assert str(error) in str(found)
    assert len(read) == reads
