"""Answers about the served indices and the served maps of the niches."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from thumblab_core.library_map.atlases import AtlasLevel
from thumblab_core.library_map.map_figures import Cluster
from thumblab_core.library_map.tiles import Tiles
from thumblab_serving.schemas.niche import Niche
from thumblab_serving.schemas.strict import StrictModel


class IndexInfoOut(StrictModel):
    """The served index of a niche, as its manifest on the disk describes it. Fields are null if nothing is served."""

    exists: bool = Field(description="Whether an index is promoted and its manifest can be read.")
    num_vectors: int
    dimension: int | None
    file_size_mb: float = Field(description="The size of the files of the served release, in units of 1,000,000 bytes.")
    last_modified: datetime | None = Field(description="When the served release was made.")
    model: str | None = Field(description="The fingerprint of the encoder that made the vectors.")
    encoder: str | None = Field(
        description="The name of the encoder in the settings. Null if the release is of an old version of the lab."
    )
    release: str | None
    changed: int = Field(description="How many videos were added or removed since the index was built.")
    kind: str | None = Field(description="The FAISS factory string.")
    recall: float | None = Field(description="The share of the true nearest neighbours that a search finds.")
    cached: bool = Field(description="Whether this process has this release in memory.")
    held: str | None = Field(description="Why a person holds the release, so that no newer release replaces it.")
    reason: str | None = Field(description="Why the index does not exist, or why this process refused it.")


class CacheStatsOut(StrictModel):
    """The indices that this process has in memory. Each worker of the service has its own indices in memory."""

    cached_niches: int
    niches: list[Niche]


class IndexStatsOut(StrictModel):
    """The answer of `GET /internal/index-stats`."""

    status: Literal["ok"] = "ok"
    index_info: dict[str, IndexInfoOut]
    cache_stats: CacheStatsOut
    timestamp: datetime


class SidecarMetaOut(StrictModel):
    """The vectors of an index: their model, their dimension and their number, and when the index was published."""

    model: str
    timestamp: datetime
    dims: int
    num_vectors: int


class IndexStatusOut(StrictModel):
    """The state of the index of one niche."""

    present: bool = Field(description="Whether an index is served.")
    cached: bool = Field(description="Whether this process has the index in memory.")
    release: str | None
    sidecar_meta: SidecarMetaOut | None = Field(
        description="The facts about the vectors of the index. Null if no index is served."
    )
    reason: str | None = Field(description="Why no index is served, or why this process refused it.")


class FaissStatusOut(StrictModel):
    """The answer of `GET /admin/faiss/status`. The lab has one index for each niche."""

    status: Literal["ok"] = "ok"
    present: bool = Field(description="Whether any niche has a served index.")
    cached: bool = Field(description="Whether this process has every served index in memory.")
    sidecar_meta: SidecarMetaOut | None = Field(
        description=(
            "The figures of all served indices together, and the time of the newest index. Null if no index is "
            "served, or if the vectors of the indices come from different models."
        )
    )
    indices: dict[str, IndexStatusOut]
    timestamp: datetime


class ClearCacheOut(StrictModel):
    """The answer of a request that clears the cache."""

    status: Literal["ok"] = "ok"
    message: str
    cleared: list[Niche] = Field(description="The niches whose index was in the memory of this process.")
    cache_stats: CacheStatsOut = Field(description="The state of the cache after it was cleared.")
    timestamp: datetime


class MapAtlasesOut(StrictModel):
    """The pages and tiles of a map. A page is an image file with many small pictures. Only a large map has tiles."""

    niche: str = Field(description="A niche, or `all`.")
    release: str
    made_at: datetime
    videos: int
    media_type: str = Field(description="The media type of the pages.")
    pictures: int = Field(ge=0, description="The number of small pictures in the atlases.")
    levels: tuple[AtlasLevel, ...] = Field(description="The sizes of the pictures, from the smallest to the largest.")
    tiles: Tiles | None = Field(description="The tiles of a large map. Null for a map of fewer than 150,000 videos.")


class LibraryClustersOut(StrictModel):
    """The clusters of a map. The clusters of level 0 come first."""

    niche: str = Field(description="A niche, or `all`.")
    release: str
    made_at: datetime
    videos: int = Field(description="The number of videos of the map. Some videos are in no cluster.")
    clusters: tuple[Cluster, ...]
