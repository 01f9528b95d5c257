"""videos: the tables that every way of collecting writes to, and that all later assets read."""

import dagster as dg

from thumblab_pipelines.defs.groups import OWNERS, niche_partitions

# Dagster does not materialize this asset; it only shows where data flows. So the library does not wait for a way of
# collecting that was never used. When the crawl was directly upstream, Dagster asked "Are you sure?" before every refresh.
videos = dg.AssetSpec(
    "videos",
    deps=["raw_videos", "crawled_videos"],
    group_name="library",
    owners=OWNERS,
    partitions_def=niche_partitions,
    kinds={"postgres"},
    description="Videos, channels and their counts of the niche in the lab's database, collected by the daily refresh, by "
    "the crawl, or by `thumblab import` of a catalogue.",
)
