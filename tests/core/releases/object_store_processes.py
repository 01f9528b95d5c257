"""Three kinds of processes that use a release store in an object store.

python object_store_processes.py publish URL CACHE       publish, promote and prune until the process is killed
python object_store_processes.py read URL CACHE          print one line for each release that was read and verified
python object_store_processes.py promote URL CACHE NAME  publish and promote ten releases that store NAME as `who`
"""

import hashlib
import sys
from itertools import count
from pathlib import Path

from object_store_server import object_store
from release_helpers import KIND, SCOPE, writer

from thumblab_core.releases.release import ReleaseError


def publish(url: str, cache: Path) -> None:
    store = object_store(url, cache)
    newest = store.latest(KIND, SCOPE)
    for n in count(0 if newest is None else newest.number):
        release = store.publish(KIND, SCOPE, writer(f"{n} ", size=20_000), {"text": f"{n} "})
        store.serving.promote(release)
        store.prune(KIND, SCOPE, keep=3)
        print("promoted", flush=True)


def read(url: str, cache: Path) -> None:
    store = object_store(url, cache)
    while True:
        release = store.serving.current(KIND, SCOPE)
        if release is None:
            continue
        try:
            folder = release.path
        except ReleaseError as error:
            # A release may be pruned after another release has replaced it. But a release that the pointer still names
            # must exist.
            if error.transient and store.serving.current_id(KIND, SCOPE) != release.release_id:
                continue
            raise
        for name, sha256 in release.files.items():
            assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == sha256, f"{release}: {name} is torn"
        assert (folder / "sub" / "b.txt").read_text() == release.info["text"], f"{release} mixes two releases"
        print(release.number, flush=True)


def promote(url: str, cache: Path, who: str) -> None:
    store = object_store(url, cache)
    for n in range(10):
        store.serving.promote(store.publish(KIND, SCOPE, writer(who), {"who": who, "n": n}))


if __name__ == "__main__":
    task, url, cache, *rest = sys.argv[1:]
    {"publish": publish, "read": read, "promote": promote}[task](url, Path(cache), *rest)
