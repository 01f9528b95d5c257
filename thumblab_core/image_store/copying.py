"""Copy pictures from one image store to another."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from thumblab_core.image_store.store import ImageStore
from thumblab_core.images import ImageError

_BATCH = 256


def copy_images(
    source: ImageStore, target: ImageStore, names: Iterable[str], copied: Callable[[int], None] = lambda count: None
) -> list[str]:
    """Copy pictures, several at the same time. Return the names of the pictures that are missing in the source or
    damaged.

    The SHA-256 of each picture is compared with its name. `copied` is called with the number of pictures that were
    copied so far. Raises `OSError` if one of the stores cannot be used now.
    """
    wanted, lacking = list(names), list[str]()

    def copy(sha256: str) -> str | None:
        try:
            data = source.get(sha256)
        except ImageError:
            return sha256
        target.put(data)
        return None

    with ThreadPoolExecutor(max(source.reads_at_once, target.reads_at_once), "copy") as threads:
        for start in range(0, len(wanted), _BATCH):
            batch = wanted[start : start + _BATCH]
            lacking += [name for name in threads.map(copy, batch) if name is not None]
            copied(start + len(batch))
    return lacking
