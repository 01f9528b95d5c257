"""videos: the tables that every way of collecting writes to, and everything after reads."""

import dagster as dg

from thumblab_pipelines.defs.groups import OWNERS, niche_partitions

# Dagster does not make it, it only shows where data flows. A way of collecting that nobody has used yet is therefore nothing
# that the library waits for: as an upstream of it, the crawl made Dagster ask "Are you sure?" before every refresh.
videos = dg.AssetSpec(
    "videos",
    deps=["raw_videos", "crawled_videos"],
    group_name="library",
    owners=OWNERS,
    partitions_def=niche_partitions,
    kinds={"postgres"},
    description="Videos, channels and their counts of the niche in the lab's database, whoever collected them: the daily "
    "refresh, the crawl, or `thumblab import` of a catalogue.",
)
