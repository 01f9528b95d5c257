"""The library of a niche: the videos that win there now, searchable in the space of one encoder, saved as a release.

Use `NicheIndex`. It consists of a base that was built at once (`base`, with a FAISS index chosen by `kinds`) and of what has
changed since (`changes`). docs/release-format.md describes the files.
"""

from thumblab_core.index.changes import Change
from thumblab_core.index.items import (
    MAX_NEIGHBOURS,
    WINNER_RULE,
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
    "WINNER_RULE",
    "Change",
    "IndexKind",
    "Item",
    "LibraryError",
    "Neighbour",
    "NicheIndex",
    "PublishedBetween",
    "RebuildRequiredError",
    "examples_of",
    "percentile_among",
    "typical_neighbours",
]
