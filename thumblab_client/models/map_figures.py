"""The clusters of a library map: groups of similar thumbnails, what they have in common, and how they grow.

This file is generated: change `thumblab_core/library_map/map_figures.py`, then run
`python -m thumblab_serving.client_models`.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Multiple:
    """The usual outlier multiple of a cluster's videos, with a 95 % interval over channels."""

    median: float
    """The geometric mean of the medians of the cluster's channels, so that each channel counts once."""

    low: float
    """Lower end of the 95 % interval."""

    high: float
    """Upper end of the 95 % interval."""

    videos: int
    """Videos with a known outlier multiple."""


@dataclass(frozen=True, kw_only=True)
class Growth:
    """How the cluster's part of new videos has changed.

    `ratio` is the cluster's share of the videos of the last weeks, divided by its share of the videos of the weeks
    before.
    """

    weeks: list[int]
    """Published videos in each of the last weeks of the library, the oldest week first."""

    recent: int
    """Videos of the last four weeks."""

    before: int
    """Videos of the eight weeks before."""

    ratio: float | None
    """Null if one of the two times has too few videos."""

    low: float | None
    """Lower end of the 95 % interval of `ratio`."""

    high: float | None
    """Upper end of the 95 % interval of `ratio`."""

    rising: bool
    """Whether the interval is above 1, also when its level is corrected for the number of clusters."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A cluster. `x` and `y` are the place of its label on the map."""

    level: int
    """0: coarse. 1: a part of a coarse cluster."""

    id: int
    """The value of the column `cluster` (level 0) or `fine_cluster` (level 1)."""

    parent: int | None
    """The coarse cluster of a fine one. Null for a coarse cluster."""

    label: list[str]
    """The words that set its titles and read text apart from the others."""

    traits: list[str]
    """How its thumbnails differ from the others, as sentences."""

    medoid: str
    """The id of the video whose thumbnail is the most typical of the cluster."""

    x: float
    y: float
    videos: int
    channels: int
    outlier_multiple: Multiple | None
    """Null if fewer than three channels have a video with a known outlier multiple."""

    growth: Growth
