"""The answers about library maps.

This file is generated: change `thumblab_serving/schemas/library_map.py`, then run
`python -m thumblab_serving.client_models`.
"""

from dataclasses import dataclass
from datetime import datetime

from thumblab_client.models.atlases import AtlasLevel
from thumblab_client.models.map_figures import Cluster
from thumblab_client.models.tiles import Tiles


@dataclass(frozen=True, kw_only=True)
class MapAtlasesOut:
    """The small pictures of a map, and the tiles of a large one."""

    niche: str
    """A niche, or `all`."""

    release: str
    made_at: datetime
    videos: int
    media_type: str
    """The media type of the pages."""

    pictures: int
    """The number of tiles of the atlases."""

    levels: list[AtlasLevel]
    """From the smallest pictures to the largest."""

    tiles: Tiles | None
    """Null for a map of fewer than 150,000 videos."""


@dataclass(frozen=True, kw_only=True)
class LibraryClustersOut:
    """The clusters of a map. Those of level 0 come first."""

    niche: str
    """A niche, or `all`."""

    release: str
    made_at: datetime
    videos: int
    """The number of videos of the map. Some are in no cluster."""

    clusters: list[Cluster]
