"""The library of a niche: what wins there now, searched in one encoder's space, saved and loaded as a release.

`NicheIndex` is the way in. It is a base that was built at once (`base`, with the FAISS index that `kinds` chose) and what
changed since (`changes`); the files are described in docs/release-format.md.
"""

from thumblab_core.index.changes import Change
from thumblab_core.index.items import (
    MAX_NEIGHBOURS,
    WINNER,
    Item,
    LibraryError,
    Neighbour,
    Only,
    RebuildRequiredError,
    examples_of,
    percentile_among,
    typical_neighbours,
)
from thumblab_core.index.kinds import Kind
from thumblab_core.index.niche_index import NicheIndex

__all__ = [
    "MAX_NEIGHBOURS",
    "WINNER",
    "Change",
    "Item",
    "Kind",
    "LibraryError",
    "Neighbour",
    "NicheIndex",
    "Only",
    "RebuildRequiredError",
    "examples_of",
    "percentile_among",
    "typical_neighbours",
]
