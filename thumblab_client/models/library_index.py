"""Answers about the served indices of the niches.

This file is generated: change `thumblab_serving/schemas/library_index.py`, then run
`python -m thumblab_serving.client_models`.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class IndexInfoOut:
    """The served index of a niche, by its manifest on the disk. Fields are null if nothing is served."""

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
    """The name of this encoder in the settings; null in old releases."""

    release: str | None
    changed: int
    """How many videos were put in or taken out since the index was built."""

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
    niches: list[Literal["tech", "gaming", "education", "entertainment", "people", "beauty", "news"]]


@dataclass(frozen=True, kw_only=True)
class IndexStatsOut:
    """The answer of `GET /internal/index-stats`."""

    status: Literal["ok"] = "ok"
    index_info: dict[str, IndexInfoOut]
    cache_stats: CacheStatsOut
    timestamp: datetime


@dataclass(frozen=True, kw_only=True)
class SidecarMetaOut:
    """The vectors of an index: the model that made them, when the index was published, their dimension and their
    number.
    """

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
    """The vectors. Null if no index is served."""

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
    """All served indices together, with the time of the newest index. Null if no index is served, or if the indices
    have different models.
    """

    indices: dict[str, IndexStatusOut]
    timestamp: datetime


@dataclass(frozen=True, kw_only=True)
class ClearCacheOut:
    """The answer of a request that clears the cache."""

    status: Literal["ok"] = "ok"
    message: str
    cleared: list[Literal["tech", "gaming", "education", "entertainment", "people", "beauty", "news"]]
    """The niches whose index was in the memory of this process."""

    cache_stats: CacheStatsOut
    """The state of the cache after it was cleared."""

    timestamp: datetime
