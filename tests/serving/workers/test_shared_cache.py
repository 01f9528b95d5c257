"""Test the cache that all workers of a service share. The cache never returns the entry of a different key."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from thumblab_core.encoders.protocol import unit
from thumblab_core.images import decode
from thumblab_core.sub_scores import Meter, Title
from thumblab_serving.loading.cache import Cache
from thumblab_serving.loading.sent_picture import SentPicture
from thumblab_serving.loading.shared_values import shared_facts, shared_looks, shared_vectors
from thumblab_serving.workers import shared_cache
from thumblab_serving.workers.shared_cache import LARGEST, SharedCache

VECTOR = unit(np.random.default_rng(0).standard_normal(768))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "values"


def key(number: int) -> bytes:
    return bytes([number % 256, number // 256]) * 16


def never() -> None:
    raise AssertionError("the value was computed although another worker had already stored it")


def written_entry(file: Path, value: bytes) -> int:
    """Return the number of bytes before `value` in the file."""
    place = file.read_bytes().find(value)
    assert place > 0
    return place


def test_a_worker_finds_the_entries_of_another_worker(file):
    one, other = SharedCache(file), SharedCache(file)
    one.put(key(1), b"value")
    assert other.get(key(1)) == b"value"
    assert other.get(key(2)) is None
    one.put(key(1), b"newer")
    assert other.get(key(1)) == b"newer"
    one.put(key(2), bytes(LARGEST + 1))
    assert other.get(key(2)) is None


def test_a_vector_of_another_picture_or_encoder_or_kind_is_never_found(file):
    one, other = SharedCache(file), SharedCache(file)
    Cache(10, shared=shared_vectors(one, "picture")).get(("builtin", "a1"), lambda: VECTOR)
    again = Cache(10, shared=shared_vectors(other, "picture"))
    assert np.array_equal(again.get(("builtin", "a1"), never), VECTOR)
    assert again.lookups == {"memory": 0, "shared": 1, "made": 0}
    for kind, asked in (("picture", ("clip", "a1")), ("picture", ("builtin", "a2")), ("title", ("builtin", "a1"))):
        cache = Cache(10, shared=shared_vectors(other, kind))
        cache.get(asked, lambda: VECTOR)
        assert cache.lookups["made"] == 1


@pytest.mark.parametrize("place", [0, 40, 48, 56, 60, -1, -1000], ids=str)
def test_a_damaged_entry_is_made_again(file, place):
    """Damage one byte of an entry: in its key, checksum, time, length or vector. The cache must compute the entry
    again.
    """
    value = VECTOR.astype("<f4").tobytes()
    Cache(10, shared=shared_vectors(SharedCache(file), "picture")).get(("builtin", "a1"), lambda: VECTOR)
    at = written_entry(file, value) + (place - 60 if place >= 0 else len(value) + place)
    with file.open("r+b") as stored:
        stored.seek(at)
        byte = stored.read(1)
        stored.seek(at)
        stored.write(bytes([byte[0] ^ 4]))
    again = Cache(10, shared=shared_vectors(SharedCache(file), "picture"))
    assert np.array_equal(again.get(("builtin", "a1"), lambda: VECTOR), VECTOR)
    assert again.lookups["made"] == 1
    third = Cache(10, shared=shared_vectors(SharedCache(file), "picture"))
    assert np.array_equal(third.get(("builtin", "a1"), never), VECTOR)


def test_an_entry_that_was_copied_to_the_place_of_another_key_is_not_found(file):
    cache = SharedCache(file, slots=4)
    cache.put(key(1), b"of one")
    stored = file.read_bytes()
    start = written_entry(file, b"of one") - 60
    forged = key(2) + stored[start + 32 : start + 100]
    with file.open("r+b") as changed:
        changed.seek(start)
        changed.write(forged)
    assert cache.get(key(2)) is None
    assert cache.get(key(1)) is None


@pytest.mark.parametrize("value", [b"", b"abc", np.zeros(768, "<f4").tobytes(), np.full(768, np.nan, "<f4").tobytes()])
def test_a_vector_that_is_not_a_unit_vector_is_made_again(file, value):
    shared = shared_vectors(SharedCache(file), "picture")
    shared.cache.put(shared._digest(("builtin", "a1")), value)
    assert np.array_equal(Cache(10, shared=shared).get(("builtin", "a1"), lambda: VECTOR), VECTOR)


def test_the_file_never_grows_beyond_its_limit_and_the_oldest_entries_go(file):
    cache = SharedCache(file, slots=8)
    for number in range(200):
        cache.put(key(number), bytes([number]) * LARGEST)
    assert file.stat().st_size == cache.limit == 8 * 8 * 1024
    assert cache.used <= cache.limit
    found = [number for number in range(200) if cache.get(key(number)) is not None]
    assert len(found) == 8
    assert all(cache.get(key(number)) == bytes([number]) * LARGEST for number in found)
    assert min(found) > 180
    assert cache.failure is None


def test_measurements_and_facts_come_back_as_they_were(file, draw):
    picture, meter = draw(3), Meter(None)
    look, facts = meter.measure_picture(decode(picture).pixels), SentPicture(picture).facts()
    for shared, value in ((shared_looks, look), (shared_facts, facts)):
        Cache(10, shared=shared(SharedCache(file))).get(("a1",), lambda value=value: value)
        found = Cache(10, shared=shared(SharedCache(file))).get(("a1",), never)
        if value is look:
            assert found == look
            assert meter.with_title(found, Title("a title")) == meter.with_title(look, Title("a title"))
        else:
            assert (found.width, found.height, found.animated) == (facts.width, facts.height, facts.animated)
            assert found.appearance.perceptual_hash == facts.appearance.perceptual_hash
            assert np.array_equal(found.appearance.colours, facts.appearance.colours)


@pytest.mark.parametrize("fault", ["a folder", "a link", "others may read", "a full disk"])
def test_a_file_that_cannot_be_trusted_or_written_is_not_used_and_the_reason_is_kept(
    file, tmp_path, monkeypatch, fault
):
    file.parent.mkdir(mode=0o700)
    if fault == "a folder":
        file.mkdir()
    elif fault == "a link":
        (tmp_path / "elsewhere").touch()
        file.symlink_to(tmp_path / "elsewhere")
    elif fault == "others may read":
        file.parent.chmod(0o755)
    else:

        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(shared_cache.os, "pwrite", full)
    cache = SharedCache(file)
    cache.put(key(1), b"value")
    assert cache.get(key(1)) is None
    assert "cannot be used" in cache.failure
    assert str(tmp_path) not in cache.failure  # `/health` needs no API key, so its text must not show this path.
    assert Cache(10, shared=shared_vectors(cache, "picture")).get(("builtin", "a1"), lambda: VECTOR) is VECTOR


WRITERS = """
import sys
from pathlib import Path
from thumblab_serving.workers.shared_cache import LARGEST, SharedCache
cache, found = SharedCache(Path(sys.argv[1]), slots=4), 0
for turn in range(3_000):
    number = turn % 8
    value = cache.get(bytes([number]) * 32)
    assert value in (None, bytes([number]) * (1_000 * number)), "another entry was found"
    found += value is not None
    cache.put(bytes([number]) * 32, bytes([number]) * (1_000 * number))
print(found)
"""


def test_workers_that_write_to_the_same_slots_never_read_a_mixture(file):
    workers = [
        subprocess.Popen([sys.executable, "-c", WRITERS, str(file)], stdout=subprocess.PIPE, env=dict(os.environ))
        for _ in range(3)
    ]
    found = [int(worker.communicate()[0]) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0, 0]
    assert sum(found) > 0
