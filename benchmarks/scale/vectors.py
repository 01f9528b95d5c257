"""Run and measure the stages that find near-duplicates, and that build, search and change a library index. The vectors
are synthetic and have 768 dimensions.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.scale.stage import Stage

if TYPE_CHECKING:
    from thumblab_core.releases.release import Release

_DIMENSION = 768
_QUERIES = 100
_SCOPE = "tech"


def plant(size: int, folder: Path) -> None:
    """Write `vectors.npy`, float32 [size, 768]: unit vectors in clusters, as an image encoder makes them."""
    path = folder / "vectors.npy"
    if path.exists():
        return
    import numpy as np

    from benchmarks.autofaiss_search import Space

    space, temporary = Space(), folder / "vectors.new.npy"
    vectors = np.lib.format.open_memmap(temporary, "w+", np.float32, (size, _DIMENSION))
    for start in range(0, size, 10_000):
        vectors[start : start + 10_000] = space.draw(min(10_000, size - start))
    vectors.flush()
    temporary.rename(path)


def repeats(size: int, folder: Path) -> dict[str, float]:
    """Find the near-duplicates among pictures by file, perceptual hash and vector."""
    import numpy as np

    from thumblab_pipelines.dataset.near_duplicates import Pictures

    vectors = np.load(folder / "vectors.npy")
    hashes = np.random.default_rng(1).integers(-(2**62), 2**62, size).tolist()
    dropped = Pictures([str(row) for row in range(size)], hashes, vectors, 0.97).repeats()
    return {"dropped": float(dropped.sum())}


def build_index(size: int, folder: Path) -> dict[str, float]:
    """Build a library index with the default settings, and publish it as a release in `folder`."""
    import numpy as np

    from thumblab_core.index import Item, NicheIndex
    from thumblab_core.releases.release import INDEX
    from thumblab_core.releases.release_store import ReleaseStore

    vectors = np.load(folder / "vectors.npy", mmap_mode="r")
    items = [Item(f"{row:011d}", "A title", "A channel", None, 1.0, float(row % 10)) for row in range(size)]
    index = NicheIndex.build(vectors, items, "planted")
    store = ReleaseStore(folder / "releases")
    release = store.publish(INDEX, _SCOPE, index.save, index.describe())
    store.serving.promote(release)
    return {"recall": index.kind.recall or 1.0}


def publish(size: int, folder: Path) -> None:
    """Call `build_index` if `folder` has no release yet."""
    plant(size, folder)
    if not (folder / "releases").exists():
        build_index(size, folder)


def search_index(size: int, folder: Path) -> dict[str, float]:
    """Load the served release as the scoring service does, and search it. The queries are 100 of the vectors in the
    release.

    The figures are the resident memory after the searches, and the median time of a search in milliseconds. The time is
    measured without a filter, and with a filter that 60 % of the videos pass.
    """
    import statistics
    import time

    import numpy as np
    import psutil

    from thumblab_core.index import Filter, NicheIndex

    index = NicheIndex.load(_served(folder))
    index.prepare()
    queries = np.load(folder / "vectors.npy", mmap_mode="r")[:: max(1, size // _QUERIES)][:_QUERIES]
    milliseconds: dict[str, list[float]] = {"search ms": [], "filtered ms": []}
    for query in np.asarray(queries):
        for name, only in (("search ms", Filter()), ("filtered ms", Filter(least_multiple=4.0))):
            start = time.perf_counter()
            index.find(query, 50, only)
            milliseconds[name].append(1_000 * (time.perf_counter() - start))
    resident = psutil.Process().memory_info().rss
    return {name: statistics.median(times) for name, times in milliseconds.items()} | {"resident GB": resident / 1e9}


def change_index(size: int, folder: Path) -> dict[str, float]:
    """Load the served release, add a video, and publish the changed index. Then apply the change to the old release in
    memory.

    The figure is the number of seconds from the start of the change until the new index is loaded and has the video.
    """
    import time
    from datetime import UTC, datetime

    import numpy as np

    from thumblab_core.index import Change, Item, NicheIndex
    from thumblab_core.releases.release import INDEX
    from thumblab_core.releases.release_store import ReleaseStore

    release = _served(folder)
    index = NicheIndex.load(release)
    start = time.perf_counter()
    vector = np.asarray(np.load(folder / "vectors.npy", mmap_mode="r")[0])
    put = Change("new", datetime.now(UTC), Item("new", "A title", "A channel", None, 1.0, 1.0))
    changed = index.changed([(put, vector)])
    store = ReleaseStore(folder / "releases")
    new = store.publish(INDEX, _SCOPE, changed.save_changes, changed.describe(), sharing=release)
    if NicheIndex.load(new, beside=index).item_of("new") is None:
        raise LookupError(f"the release {new} does not have the video that was added")
    return {"seconds": time.perf_counter() - start}


def _served(folder: Path) -> "Release":
    from thumblab_core.releases.release import INDEX
    from thumblab_core.releases.release_store import ReleaseStore

    release = ReleaseStore(folder / "releases").serving.current(INDEX, _SCOPE)
    if release is None:
        raise LookupError(f"no release is served in {folder}")
    return release


STAGES: list[Stage] = [
    Stage("near-duplicates", "vectors", repeats, plant),
    Stage("index-build", "vectors", build_index, plant),
    Stage("index-search", "vectors", search_index, publish),
    Stage("index-change", "vectors", change_index, publish),
]
