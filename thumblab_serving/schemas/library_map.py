"""The answers about library maps."""

from datetime import datetime

from pydantic import Field

from thumblab_core.library_map.atlases import AtlasLevel
from thumblab_core.library_map.map_figures import Cluster
from thumblab_core.library_map.tiles import Tiles
from thumblab_serving.schemas.strict import StrictModel


class MapAtlasesOut(StrictModel):
    """The small pictures of a map, and the tiles of a large one."""

    niche: str = Field(description="A niche, or `all`.")
    release: str
    made_at: datetime
    videos: int
    media_type: str = Field(description="The media type of the pages.")
    pictures: int = Field(ge=0, description="The number of tiles of the atlases.")
    levels: tuple[AtlasLevel, ...] = Field(description="From the smallest pictures to the largest.")
    tiles: Tiles | None = Field(description="Null for a map of fewer than 150,000 videos.")


class LibraryClustersOut(StrictModel):
    """The clusters of a map. Those of level 0 come first."""

    niche: str = Field(description="A niche, or `all`.")
    release: str
    made_at: datetime
    videos: int = Field(description="The number of videos of the map. Some are in no cluster.")
    clusters: tuple[Cluster, ...]
