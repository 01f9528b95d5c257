"""Make small indexes, changes of an index, and releases of an index, for the tests of the index."""

from datetime import UTC, date, datetime, timedelta

import numpy as np

from thumblab_core.encoders.protocol import Vectors, unit
from thumblab_core.index import Change, Item, NicheIndex
from thumblab_core.releases.release import Release
from thumblab_core.releases.release_store import ReleaseStore

D = 12
START = datetime(2026, 11, 1, tzinfo=UTC)


def vector_of(seed: int) -> Vectors:
    """Return the vector of `seed`.

    Three seeds in a row, such as 0 to 2 or 3 to 5, share one vector, so that an index contains duplicates.
    """
    return unit(np.random.default_rng(seed // 3).standard_normal((1, D)))[0]


def item_of(number: int, version: int = 0) -> Item:
    day = date(2026, 1, 1) + timedelta(days=number)
    return Item(f"v{number}", f"Title {number}.{version}", "Channel", None, float(version), None, day)


def build(numbers: list[int], factory: str = "auto") -> NicheIndex:
    vectors = np.stack([vector_of(n) for n in numbers]) if numbers else np.zeros((0, D), np.float32)
    return NicheIndex.build(vectors, [item_of(n) for n in numbers], "encoder-1", factory=factory)


def put(number: int, seed: int, version: int) -> tuple[Change, Vectors | None]:
    return Change(f"v{number}", START + timedelta(seconds=version), item_of(number, version)), vector_of(seed)


def out(number: int, version: int) -> tuple[Change, Vectors | None]:
    return Change(f"v{number}", START + timedelta(seconds=version), None), None


def released(store: ReleaseStore, index: NicheIndex, of: Release | None = None, **info: object) -> Release:
    write = index.save if of is None else index.save_changes
    return store.publish("index", "tech", write, index.describe() | info, sharing=of)
