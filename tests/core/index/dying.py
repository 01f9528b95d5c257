"""Run a writer and a reader. The writer changes an index, and is killed at a chosen line. The reader checks the served
release.

The writer and the reader each run in their own process. Both processes are forked from a process that has started no
thread and has already imported all necessary modules.
"""

import json
import os
import signal
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from thumblab_core.encoders.protocol import Vectors, unit
from thumblab_core.errors import LabError
from thumblab_core.index import Change, Item, NicheIndex
from thumblab_core.releases.release import INDEX
from thumblab_core.releases.release_store import ReleaseStore

IMPORTS = ["dying", "faiss", "numpy", "thumblab_core.index.niche_index", "thumblab_core.sub_scores.distribution"]
NICHE, COUNT, D = "tech", 30, 8
START = datetime(2026, 11, 1, tzinfo=UTC)
TRACED = ("thumblab_core/releases/", "thumblab_core/index/")
"""The folders of the release store and of the index. A writer may be killed at any line in these folders."""


def vector_of(number: int, version: int) -> Vectors:
    return unit(np.random.default_rng([number, version]).standard_normal((1, D)))[0]


def item_of(number: int, version: int) -> Item:
    return Item(f"v{number}", str(version), "Channel", None, 1.0, None)


def publish(store: ReleaseStore, version: int) -> None:
    """Publish a newly built index in which every video has the version `version`."""
    vectors = np.stack([vector_of(number, version) for number in range(COUNT)])
    index = NicheIndex.build(vectors, [item_of(number, version) for number in range(COUNT)], "encoder-1")
    with store.serving.changing(INDEX, NICHE):
        store.serving.promote(store.publish(INDEX, NICHE, index.save, index.describe() | {"version": version}))


def upsert(store: ReleaseStore, version: int) -> None:
    """Publish a change of the served index: replace the video v1 by a new video v1 with the version `version`.

    If `version` is odd, also take the video v0 out of the index. If `version` is even, put v0 into the index.
    """
    with store.serving.changing(INDEX, NICHE):
        served = store.serving.current(INDEX, NICHE)
        assert served is not None
        at = START + timedelta(seconds=version)
        changes: list[tuple[Change, Vectors | None]] = [(Change("v1", at, item_of(1, version)), vector_of(1, version))]
        if version % 2:
            changes.append((Change("v0", at, None), None))
        else:
            changes.append((Change("v0", at, item_of(0, version)), vector_of(0, version)))
        index = NicheIndex.load(served).changed(changes)
        info = served.info | index.describe() | {"version": version}
        store.serving.promote(store.publish(INDEX, NICHE, index.save_changes, info, sharing=served))


def prune(store: ReleaseStore, version: int) -> None:
    """Publish a change, then delete all but the newest two releases."""
    upsert(store, version)
    store.prune(INDEX, NICHE, keep=2)


WORK = {"publish": publish, "upsert": upsert, "prune": prune}


def work(root: str, name: str, version: int, line: int, done: str) -> None:
    """Call the function `WORK[name]`, and count the lines of code that it executes in the folders `TRACED`.

    Kill this process when the count reaches `line`, before that line is executed. If `line` is 0, do not kill the
    process. If the function returns, write the count to the file `done`.
    """
    seen = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal seen
        if not any(part in frame.f_code.co_filename for part in TRACED):
            return None
        if event == "line":
            seen += 1
            if seen == line:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)
    WORK[name](ReleaseStore(Path(root)), version)
    sys.settrace(None)
    # A killed writer does not reach this line.
    Path(done).write_text(str(seen))


def read(root: str, acknowledged: str, report: str, stop: str) -> None:
    """Read the served release again and again, as a service does, until the file `stop` exists.

    Write the number of reads, the number of different releases that were read, and all faults to the file `report`.
    """
    store, index, loaded, reads = ReleaseStore(Path(root)), None, None, 0
    faults: list[str] = []
    releases = set()
    while not Path(stop).exists() and len(faults) < 5:
        least = int(Path(acknowledged).read_text())
        try:
            served = store.serving.current(INDEX, NICHE)
            if served is None:
                raise LabError("nothing is served")
            if served.release_id != loaded:
                index, loaded = NicheIndex.load(served, index), served.release_id
                releases.add(loaded)
            assert index is not None
            version = int(served.info["version"])
            if version < least:
                faults.append(f"version {version} was served after {least} was acknowledged")
            for number in (1, 2):
                wanted = next(item for item in index.items if item.video_id == f"v{number}")
                nearest = index.search(vector_of(number, int(wanted.title)), 1)[0]
                if nearest.item != wanted or nearest.similarity < 0.9999:
                    faults.append(f"{served}: a search for the vector of v{number} does not find v{number}")
            if index.vector_of("v1").tolist() != vector_of(1, version).tolist():
                faults.append(f"{served}: v1 is not of version {version}")
            if ("v0" in index) and index.vector_of("v0").tolist() != vector_of(0, version).tolist():
                faults.append(f"{served}: v0 is not of version {version}")
        except Exception as error:  # noqa: BLE001  a reader must meet no error at all
            faults.append(f"{type(error).__name__}: {error}")
        reads += 1
        time.sleep(0.001)
    Path(report).write_text(json.dumps({"reads": reads, "releases": len(releases), "faults": faults}))
