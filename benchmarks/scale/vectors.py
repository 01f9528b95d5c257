"""Stages of near-duplicates and of the library index, on planted vectors of 768 dimensions."""

from pathlib import Path

from benchmarks.scale.stage import Stage

_DIMENSION = 768


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


STAGES: list[Stage] = [Stage("near-duplicates", "vectors", repeats, plant)]
