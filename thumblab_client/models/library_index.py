"""Answers about the served indices and the served maps of the niches.

This file is generated: change `thumblab_serving/schemas/library_index.py`, then run
`python -m thumblab_serving.client_models`.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class AtlasLevel:
    """The pages of a level. Tile n is on page n // (columns * rows)."""

    level: int
    """0 has the smallest tiles."""

    tile_width: int
    """In pixels."""

    tile_height: int
    """In pixels."""

    columns: int
    rows: int
    pages: list[str]
    """The SHA-256 of each page. It is also the name of the page."""


@dataclass(frozen=True, kw_only=True)
class Multiple:
    """The usual outlier multiple of a cluster's videos, with a 95 % interval over channels."""

    median: float
    """The geometric mean of the channels' median outlier multiples. Each channel of the cluster counts once."""

    low: float
    """Lower end of the 95 % interval."""

    high: float
    """Upper end of the 95 % interval."""

    videos: int
    """The number of videos with a known outlier multiple."""


@dataclass(frozen=True, kw_only=True)
class Growth:
    """How the cluster's share of new videos has changed.

    `ratio` is the cluster's share of all videos published in the last four weeks, divided by its share of all
    videos published in the eight weeks before.
    """

    weeks: list[int]
    """The number of videos published in each of the last weeks of the library, the oldest week first."""

    recent: int
    """The number of the cluster's videos published in the last four weeks."""

    before: int
    """The number of the cluster's videos published in the eight weeks before the last four weeks."""

    ratio: float | None
    """The cluster's share of the videos of the last four weeks, divided by its share of the videos of the eight weeks
    before. Null if one of the two periods has too few videos.
    """

    low: float | None
    """Lower end of the 95 % interval of `ratio`."""

    high: float | None
    """Upper end of the 95 % interval of `ratio`."""

    rising: bool
    """Whether the whole interval is above 1, even after a correction for the number of clusters."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A cluster. `x` and `y` are the place of its label on the map."""

    level: int
    """0 for a coarse cluster, 1 for a part of a coarse cluster."""

    id: int
    """The points of the cluster have this id in the column `cluster` (level 0) or `fine_cluster` (level 1)."""

    parent: int | None
    """The coarse cluster that contains this fine cluster. Null for a coarse cluster."""

    label: list[str]
    """The words that are more frequent in the cluster's titles, and in the texts on its thumbnails, than in other
    videos.
    """

    traits: list[str]
    """Sentences that say how the cluster's thumbnails differ from other thumbnails."""

    medoid: str
    """The id of the video whose thumbnail is the most typical of the cluster."""

    x: float
    y: float
    videos: int
    channels: int
    outlier_multiple: Multiple | None
    """Null if fewer than three channels have a video with a known outlier multiple."""

    growth: Growth


@dataclass(frozen=True, kw_only=True)
class Tile:
    """The column `x` and the row `y` of a tile in its level, from the upper left, and the number of its points."""

    x: int
    y: int
    rows: int


@dataclass(frozen=True, kw_only=True)
class TileLevel:
    """A level of tiles. Tiles without a point are left out. If `complete` is true, the tiles contain all points of the
    map.
    """

    level: int
    complete: bool
    tiles: list[Tile]


@dataclass(frozen=True, kw_only=True)
class Tiles:
    """The levels of tiles, from the whole map in one tile to the level that contains all points."""

    most: int
    """The largest number of points in a tile, in each level that is not complete."""

    levels: list[TileLevel]


@dataclass(frozen=True, kw_only=True)
class IndexInfoOut:
    """The served index of a niche, as its manifest on the disk describes it. Fields are null if nothing is served."""

    exists: bool
    """Whether an index is promoted and its manifest can be read."""

    num_vectors: int
    dimension: int | None
    file_size_mb: float
    """The size of the files of the served release, in units of 1,000,000 bytes."""

    last_modified: datetime | None
    """When the served release was made."""

    model: str | None
    """The fingerprint of the encoder that made the vectors."""

    encoder: str | None
    """The name of the encoder in the settings. Null if the release is of an old version of the lab."""

    release: str | None
    changed: int
    """How many videos were added or removed since the index was built."""

    kind: str | None
    """The FAISS factory string."""

    recall: float | None
    """The share of the true nearest neighbours that a search finds."""

    cached: bool
    """Whether this process has this release in memory."""

    held: str | None
    """Why a person holds the release, so that no newer release replaces it."""

    reason: str | None
    """Why the index does not exist, or why this process refused it."""


@dataclass(frozen=True, kw_only=True)
class CacheStatsOut:
    """The indices that this process has in memory. Each worker of the service has its own indices in memory."""

    cached_niches: int
    niches: list[str]


@dataclass(frozen=True, kw_only=True)
class IndexStatsOut:
    """The answer of `GET /internal/index-stats`."""

    status: Literal["ok"] = "ok"
    index_info: dict[str, IndexInfoOut]
    cache_stats: CacheStatsOut
    timestamp: datetime


@dataclass(frozen=True, kw_only=True)
class SidecarMetaOut:
    """The vectors of an index: their model, their dimension and their number, and when the index was published."""

    model: str
    timestamp: datetime
    dims: int
    num_vectors: int


@dataclass(frozen=True, kw_only=True)
class IndexStatusOut:
    """The state of the index of one niche."""

    present: bool
    """Whether an index is served."""

    cached: bool
    """Whether this process has the index in memory."""

    release: str | None
    sidecar_meta: SidecarMetaOut | None
    """The facts about the vectors of the index. Null if no index is served."""

    reason: str | None
    """Why no index is served, or why this process refused it."""


@dataclass(frozen=True, kw_only=True)
class FaissStatusOut:
    """The answer of `GET /admin/faiss/status`. The lab has one index for each niche."""

    status: Literal["ok"] = "ok"
    present: bool
    """Whether any niche has a served index."""

    cached: bool
    """Whether this process has every served index in memory."""

    sidecar_meta: SidecarMetaOut | None
    """The figures of all served indices together, and the time of the newest index. Null if no index is served, or if
    the vectors of the indices come from different models.
    """

    indices: dict[str, IndexStatusOut]
    timestamp: datetime


@dataclass(frozen=True, kw_only=True)
class ClearCacheOut:
    """The answer of a request that clears the cache."""

    status: Literal["ok"] = "ok"
    message: str
    cleared: list[str]
    """The niches whose index was in the memory of this process."""

    cache_stats: CacheStatsOut
    """The state of the cache after it was cleared."""

    timestamp: datetime


@dataclass(frozen=True, kw_only=True)
class MapAtlasesOut:
    """The pages and tiles of a map. A page is an image file with many small pictures. Only a large map has tiles."""

    niche: str
    """A niche, or `all`."""

    release: str
    made_at: datetime
    videos: int
    media_type: str
    """The media type of the pages."""

    pictures: int
    """The number of small pictures in the atlases."""

    levels: list[AtlasLevel]
    """The sizes of the pictures, from the smallest to the largest."""

    tiles: Tiles | None
    """The tiles of a large map. Null for a map of fewer than 150,000 videos."""


@dataclass(frozen=True, kw_only=True)
class LibraryClustersOut:
    """The clusters of a map. The clusters of level 0 come first."""

    niche: str
    """A niche, or `all`."""

    release: str
    made_at: datetime
    videos: int
    """The number of videos of the map. Some videos are in no cluster."""

    clusters: list[Cluster]
