"""Test that readers get no error while writers fail. Writers are killed at any line, or cannot write to the disk."""

import json
import multiprocessing
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dying
import psutil
import pytest

from thumblab_core.encoders.builtin import BuiltinEncoder
from thumblab_core.index import NicheIndex
from thumblab_core.releases.release import INDEX, Release, ReleaseError
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_serving.loading.served_release import Loaded, ServedRelease

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(dying.IMPORTS)


def run(store: ReleaseStore, name: str, version: int, line: int, done: Path) -> int | None:
    process = PROCESSES.Process(target=dying.work, args=(str(store.root), name, version, line, str(done)))
    process.start()
    process.join(60)
    return process.exitcode


@pytest.mark.slow
@pytest.mark.parametrize("trials", [10, pytest.param(75, marks=pytest.mark.heavy)])
def test_a_reader_sees_no_incomplete_missing_or_older_release_when_a_writer_is_killed(
    tmp_path: Path, trials: int
) -> None:
    """Start processes that run a function of `dying.WORK`, and kill each. There are `trials` processes per function.

    Each trial kills the writer at a different line of its code. These lines are spread evenly over all lines that the
    function executes.
    """
    store, acknowledged, done = ReleaseStore(tmp_path / "releases"), tmp_path / "acknowledged", tmp_path / "done"
    version = 1
    dying.publish(store, version)
    acknowledged.write_text(str(version))
    report, stop = tmp_path / "report", tmp_path / "stop"
    reader = PROCESSES.Process(target=dying.read, args=(str(store.root), str(acknowledged), str(report), str(stop)))
    reader.start()
    killed = 0
    for name in dying.WORK:
        version += 1
        assert run(store, name, version, 0, done) == 0
        lines = int(done.read_text())
        for trial in range(trials):
            version += 1
            line = 1 + trial * (lines - 1) // (trials - 1)
            code = run(store, name, version, line, done)
            # The more releases exist, the more lines of code a writer may execute. A writer that executes fewer than
            # `line` lines is not killed.
            assert code in (0, -signal.SIGKILL)
            killed += code == -signal.SIGKILL
            if code == 0:
                (aside := tmp_path / "aside").write_text(str(version))
                aside.replace(acknowledged)
    stop.touch()
    reader.join(60)
    outcome = json.loads(report.read_text())
    assert outcome["faults"] == []
    assert killed >= 8 * trials // 3, killed
    assert outcome["reads"] > killed
    assert outcome["releases"] > trials // 4
    print(
        f"\n  {killed} writers were killed. The reader read {outcome['reads']} times, "
        f"and loaded {outcome['releases']} releases."
    )
    # The next writer deletes the temporary folders that killed writers left behind.
    dying.prune(store, version + 1)
    left = [
        path.name
        for path in (store.root / INDEX / dying.NICHE).iterdir()
        if path.name.startswith((".staging", ".aside"))
    ]
    assert left == []
    for release in store.all(INDEX, dying.NICHE):
        NicheIndex.load(release)


@pytest.mark.slow
def test_eight_readers_meet_no_error_during_a_hundred_publications_and_leave_no_open_files(tmp_path: Path) -> None:
    store, stop = ReleaseStore(tmp_path), threading.Event()
    dying.publish(store, 1)
    this = psutil.Process()
    faults: list[str] = []
    counts: list[int] = []

    def load(release: Release) -> Loaded[NicheIndex]:
        index = NicheIndex.load(release, None if slot.loaded is None else slot.loaded.value)
        return Loaded(release.release_id, index, BuiltinEncoder())

    slot = ServedRelease(store, INDEX, dying.NICHE, load)

    def read() -> None:
        reads = last = 0
        while not stop.is_set():
            served = slot.current()
            assert served is not None
            version = int(store.get(INDEX, dying.NICHE, served.release_id).info["version"])
            near = served.value.search(dying.vector_of(1, version), 1)[0]
            if near.item != dying.item_of(1, version) or version < last:
                faults.append(f"{near} of version {version} after {last}")
            reads, last = reads + 1, version
            # Without this pause, the readers would run nearly all the time, and the publishing thread would be slow.
            time.sleep(0.002)
        counts.append(reads)

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    files = this.num_fds()
    for version in range(2, 102):
        (dying.publish if version % 10 == 0 else dying.upsert)(store, version)
        if version % 25 == 0:
            store.prune(INDEX, dying.NICHE, keep=50)
    stop.set()
    for thread in threads:
        thread.join(30)
    assert faults == []
    assert slot.refusal is None
    assert len(counts) == 8
    assert min(counts) > 0
    assert this.num_fds() <= files
    gone = [mapped.path for mapped in this.memory_maps() if str(tmp_path) in mapped.path]
    assert gone == []


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[None]:
    """Mount a file system on the folder. Skip the test if this process has no right to mount."""
    folder.mkdir(exist_ok=True)
    done = subprocess.run(["mount", *options, str(folder)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"mounting is not allowed here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def still_serves(store: ReleaseStore, version: int) -> bool:
    served = store.serving.current(INDEX, dying.NICHE)
    assert served is not None
    return NicheIndex.load(served).vector_of("v1").tolist() == dying.vector_of(1, version).tolist()


@pytest.fixture
def mounted_store(tmp_path: Path) -> Iterator[ReleaseStore]:
    """A release store with one release, on a separate disk of 200 KiB."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a disk")
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=200k", "none"):
        store = ReleaseStore(tmp_path / "disk")
        dying.publish(store, 1)
        yield store


@pytest.mark.parametrize("name", list(dying.WORK))
def test_on_a_full_disk_a_writer_raises_and_the_old_release_stays_served(
    tmp_path: Path, mounted_store: ReleaseStore, name: str
) -> None:
    filler = os.open(tmp_path / "disk" / "filler", os.O_CREAT | os.O_WRONLY)
    with pytest.raises(OSError, match="No space left"):
        while True:
            os.write(filler, b"x" * 1024)
    os.close(filler)
    with pytest.raises(ReleaseError, match=r"cannot be written \(.*\); the served release stays. Make room"):
        dying.WORK[name](mounted_store, 2)
    assert still_serves(mounted_store, 1)
    (tmp_path / "disk" / "filler").unlink()
    dying.prune(mounted_store, 3)
    assert still_serves(mounted_store, 3)


@pytest.mark.parametrize("name", list(dying.WORK))
def test_in_a_read_only_store_a_writer_raises_and_the_old_release_stays_served(
    tmp_path: Path, mounted_store: ReleaseStore, name: str
) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(tmp_path / "disk")], check=True)
    with pytest.raises(ReleaseError, match="cannot be written"):
        dying.WORK[name](mounted_store, 2)
    assert still_serves(mounted_store, 1)
