"""Test that killed publishers and simultaneous writers do not damage an object store. The processes are real."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from object_store_server import object_store
from release_helpers import KIND, SCOPE

_SCRIPT = str(Path(__file__).with_name("object_store_processes.py"))


def started(*given: str) -> "subprocess.Popen[str]":
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, _SCRIPT, *given]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


@pytest.mark.parametrize(
    "kills",
    [pytest.param(5, marks=pytest.mark.slow), pytest.param(100, marks=[pytest.mark.heavy, pytest.mark.timeout(1800)])],
)
def test_a_reader_meets_no_torn_release_while_publishers_are_killed(url: str, tmp_path: Path, kills: int) -> None:
    reader = started("read", url, str(tmp_path / "reader"))
    chance = random.Random(kills)
    promoted = 0
    for _ in range(kills):
        publisher = started("publish", url, str(tmp_path / "publisher"))
        assert publisher.stdout is not None
        # The publisher needs a second to import its modules. Its first line of output shows that the first release is
        # promoted.
        first = publisher.stdout.readline()
        assert first == "promoted\n", publisher.stderr and publisher.stderr.read()
        time.sleep(chance.uniform(0, 0.3))
        publisher.send_signal(signal.SIGKILL)
        promoted += 1 + publisher.communicate()[0].count("promoted")
        assert reader.poll() is None, reader.stderr and reader.stderr.read()
    reader.kill()
    said, failure = reader.communicate()
    assert failure == ""
    read = [int(line) for line in said.splitlines()]
    assert read == sorted(read), "the reader got an older release than before"
    assert len(set(read)) > kills / 2, "the reader saw too few of the releases to prove anything"
    store = object_store(url, tmp_path / "afterwards")
    assert store.serving.current(KIND, SCOPE) is not None
    for release in store.all(KIND, SCOPE):
        release.verify()
    history = store.serving.promoted(KIND, SCOPE)
    assert len(history) >= min(promoted, 200), "a promotion was lost"
    assert history[-1] == store.serving.current_id(KIND, SCOPE)


def test_two_processes_that_promote_at_once_lose_no_promotion_and_share_no_number(url: str, tmp_path: Path) -> None:
    processes = [started("promote", url, str(tmp_path / who), who) for who in "ab"]
    for process in processes:
        assert process.communicate(timeout=60)[1] == ""
    store = object_store(url, tmp_path / "afterwards")
    releases = store.all(KIND, SCOPE)
    made = sorted((str(release.info["who"]), int(release.info["n"])) for release in releases)
    assert made == [(who, n) for who in "ab" for n in range(10)]
    assert len({release.number for release in releases}) == 20
    history = store.serving.promoted(KIND, SCOPE)
    assert sorted(history) == sorted(release.release_id for release in releases)
    assert history[-1] == store.serving.current_id(KIND, SCOPE)
