"""The clusters of a library map: groups of similar thumbnails, what they have in common, and how they grow."""

from pydantic import BaseModel, ConfigDict, Field


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class Multiple(_Record):
    """The usual outlier multiple of a cluster's videos, with a 95 % interval over channels."""

    median: float = Field(
        description="The geometric mean of the channels' median outlier multiples. Each channel of the cluster counts "
        "once."
    )
    low: float = Field(description="Lower end of the 95 % interval.")
    high: float = Field(description="Upper end of the 95 % interval.")
    videos: int = Field(description="The number of videos with a known outlier multiple.")


class Growth(_Record):
    """How the cluster's share of new videos has changed.

    `ratio` is the cluster's share of all videos published in the last four weeks, divided by its share of all videos
    published in the eight weeks before.
    """

    weeks: tuple[int, ...] = Field(
        description="The number of videos published in each of the last weeks of the library, the oldest week first."
    )
    recent: int = Field(description="The number of the cluster's videos published in the last four weeks.")
    before: int = Field(
        description="The number of the cluster's videos published in the eight weeks before the last four weeks."
    )
    ratio: float | None = Field(
        description="The cluster's share of the videos of the last four weeks, divided by its share of the videos of the "
        "eight weeks before. Null if one of the two periods has too few videos."
    )
    low: float | None = Field(description="Lower end of the 95 % interval of `ratio`.")
    high: float | None = Field(description="Upper end of the 95 % interval of `ratio`.")
    rising: bool = Field(
        description="Whether the whole interval is above 1, even after a correction for the number of clusters."
    )


class Cluster(_Record):
    """A cluster. `x` and `y` are the place of its label on the map."""

    level: int = Field(ge=0, le=1, description="0 for a coarse cluster, 1 for a part of a coarse cluster.")
    id: int = Field(
        ge=0,
        description="The points of the cluster have this id in the column `cluster` (level 0) or `fine_cluster` (level 1).",
    )
    parent: int | None = Field(
        description="The coarse cluster that contains this fine cluster. Null for a coarse cluster."
    )
    label: tuple[str, ...] = Field(
        description="The words that are more frequent in the cluster's titles, and in the texts on its thumbnails, than "
        "in other videos."
    )
    traits: tuple[str, ...] = Field(
        description="Sentences that say how the cluster's thumbnails differ from other thumbnails."
    )
    medoid: str = Field(description="The id of the video whose thumbnail is the most typical of the cluster.")
    x: float = Field(ge=0, le=1)
    y: float = Field(ge=0, le=1)
    videos: int = Field(ge=1)
    channels: int = Field(ge=1)
    outlier_multiple: Multiple | None = Field(
        description="Null if fewer than three channels have a video with a known outlier multiple."
    )
    growth: Growth
