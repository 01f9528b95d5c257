"""Test that the service accepts each key, and reads changed key files without a restart."""

import logging
import os
import threading
from pathlib import Path

import pytest
from pydantic import SecretStr

from thumblab_core.keys.generated_key import api_key, rotate_generated_key
from thumblab_core.keys.named_keys import NamedKeys
from thumblab_core.settings import Settings
from thumblab_serving.keys.key_ring import KeyRing


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "lab")


def name_of(ring: KeyRing, key: str) -> str | None:
    grant = ring.find(key)
    return None if grant is None else grant.name


def test_the_generated_key_has_all_scopes(settings: Settings) -> None:
    grant = KeyRing(settings).find(api_key(settings))
    assert grant is not None
    assert (grant.name, grant.scopes) == ("default", ("score", "admin"))


def test_a_key_in_the_settings_takes_the_place_of_the_generated_key(settings: Settings) -> None:
    generated = api_key(settings)
    ring = KeyRing(settings.model_copy(update={"api_key": SecretStr(" mine ")}))
    assert name_of(ring, "mine") == "default"
    assert name_of(ring, generated) is None


def test_keys_are_followed_when_they_are_made_rotated_and_revoked(settings: Settings) -> None:
    ring, keys = KeyRing(settings), NamedKeys(settings)
    own = api_key(settings)
    assert name_of(ring, "guess") is None
    first = keys.add("laptop", ["score"])
    assert name_of(ring, first) == "laptop"
    second = keys.rotate("laptop")
    assert (name_of(ring, first), name_of(ring, second)) == (None, "laptop")
    keys.revoke("laptop")
    assert name_of(ring, second) is None
    new = rotate_generated_key(settings)
    assert (name_of(ring, own), name_of(ring, new)) == (None, "default")


def test_a_hundred_rotations_in_a_row_are_all_followed(settings: Settings) -> None:
    """Rotate a key a hundred times. The service must notice each change of the key file.

    All versions of the file have the same size, and nearly the same modification time.
    """
    ring, keys = KeyRing(settings), NamedKeys(settings)
    old = keys.add("laptop", ["score"])
    for _ in range(100):
        new = keys.rotate("laptop")
        assert (name_of(ring, old), name_of(ring, new)) == (None, "laptop")
        old = new


def test_a_change_is_followed_after_a_long_quiet_time(settings: Settings) -> None:
    keys = NamedKeys(settings)
    old = keys.add("laptop", ["score"])
    os.utime(keys.path, (1_000_000_000, 1_000_000_000))
    ring = KeyRing(settings)
    assert name_of(ring, old) == name_of(ring, old) == "laptop"
    new = keys.rotate("laptop")
    os.utime(keys.path, (1_000_000_000, 1_000_000_000))
    assert (name_of(ring, old), name_of(ring, new)) == (None, "laptop")


def test_a_deleted_file_ends_its_keys(settings: Settings) -> None:
    ring, keys = KeyRing(settings), NamedKeys(settings)
    named, own = keys.add("laptop", ["score"]), api_key(settings)
    assert (name_of(ring, named), name_of(ring, own)) == ("laptop", "default")
    keys.path.unlink()
    (settings.data_dir / "api-key").unlink()
    assert (name_of(ring, named), name_of(ring, own)) == (None, None)


def test_a_damaged_file_keeps_the_keys_that_were_read_and_is_reported_once(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    ring, keys = KeyRing(settings), NamedKeys(settings)
    key = keys.add("laptop", ["score"])
    assert name_of(ring, key) == "laptop"
    assert ring.failure() is None
    whole = keys.path.read_text()
    keys.path.write_text(whole[:-20])
    with caplog.at_level(logging.ERROR):
        assert [name_of(ring, key) for _ in range(3)] == ["laptop"] * 3
    assert ring.failure() == "the file api-keys.json cannot be read or is damaged; the log of the service says more"
    assert len(caplog.records) == 1
    assert str(keys.path) in caplog.text
    keys.path.write_text(whole)
    assert name_of(ring, key) == "laptop"
    assert ring.failure() is None


def test_a_damaged_file_at_the_start_grants_nothing_and_the_labs_own_key_still_works(settings: Settings) -> None:
    keys = NamedKeys(settings)
    key, own = keys.add("laptop", ["score"]), api_key(settings)
    keys.path.write_text("{")
    ring = KeyRing(settings)
    assert (name_of(ring, key), name_of(ring, own)) == (None, "default")
    assert ring.failure() is not None


@pytest.mark.parametrize("guess", ["", " ", "default", "laptop", "\udcff", "schlüssel", "x" * 60_000])
def test_a_guess_is_not_a_key(settings: Settings, guess: str) -> None:
    NamedKeys(settings).add("laptop", ["score"])
    api_key(settings)
    assert KeyRing(settings).find(guess) is None


def test_the_hash_of_a_key_is_not_a_key(settings: Settings) -> None:
    keys = NamedKeys(settings)
    keys.add("laptop", ["score"])
    assert KeyRing(settings).find(keys.all()[0].sha256) is None


def test_the_limit_of_a_key_comes_before_the_usual_limit(settings: Settings) -> None:
    usual = settings.model_copy(update={"requests_per_minute": 5})
    keys = NamedKeys(usual)
    own, limited, other = api_key(usual), keys.add("limited", ["score"], 9), keys.add("other", ["score"])
    ring = KeyRing(usual)
    assert [grant.requests_per_minute for key in (own, limited, other) if (grant := ring.find(key))] == [5, 9, 5]


def test_many_threads_find_a_key_while_others_are_made(settings: Settings) -> None:
    ring, keys = KeyRing(settings), NamedKeys(settings)
    key = keys.add("laptop", ["score"])
    missed, done = [], threading.Event()

    def ask() -> None:
        while not done.is_set():
            if name_of(ring, key) != "laptop":
                missed.append(key)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for n in range(20):
        keys.add(f"other-{n}", ["score"])
    done.set()
    for thread in threads:
        thread.join()
    assert not missed
