"""The library of a niche: its reference videos. A search finds the videos whose thumbnails are most similar to a
picture or a text. For this, the search compares vectors.

One image encoder makes all vectors of a library. The class `NicheIndex` is a library in memory. It consists of a base
(module `base`), which was built in one step, and of the changes since then (module `changes`). The module `kinds`
chooses the FAISS index of the base. A library is saved as a release, and docs/release-format.md describes its files.
"""

from thumblab_core.index.base import MOST_APPROXIMATE
from thumblab_core.index.changes import Change
from thumblab_core.index.diversity import diversified
from thumblab_core.index.filters import ChannelName, Filter
from thumblab_core.index.items import (
    MAX_NEIGHBOURS,
    WINNER_RULE,
    Found,
    Item,
    LibraryError,
    Neighbour,
    PublishedBetween,
    RebuildRequiredError,
    examples_of,
    percentile_among,
    typical_neighbours,
)
from thumblab_core.index.kinds import IndexKind
from thumblab_core.index.niche_index import NicheIndex

__all__ = [
    "MAX_NEIGHBOURS",
    "MOST_APPROXIMATE",
    "WINNER_RULE",
    "Change",
    "ChannelName",
    "Filter",
    "Found",
    "IndexKind",
    "Item",
    "LibraryError",
    "Neighbour",
    "NicheIndex",
    "PublishedBetween",
    "RebuildRequiredError",
    "diversified",
    "examples_of",
    "percentile_among",
    "typical_neighbours",
]
