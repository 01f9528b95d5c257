"""Define the asset `videos`: the tables of videos, from which all assets of a library are computed.

The daily refresh, the crawl and the import of a catalogue write these tables.
"""

import dagster as dg

from thumblab_pipelines.defs.groups import OWNERS, niche_partitions
from thumblab_pipelines.defs.kept import kept

# In Dagster's graph, this asset shows where the data comes from. It is never materialized. The asset stands between
# the crawl and the assets of the library. If the assets of the library depended directly on the crawl, Dagster would
# ask "Are you sure?" before every refresh in a lab that has never crawled.
videos = dg.AssetSpec(
    "videos",
    deps=["raw_videos", "crawled_videos"],
    group_name="library",
    owners=OWNERS,
    partitions_def=niche_partitions,
    kinds={"postgres"},
    description="The videos and channels of the niche in the lab's database, with their counts. They come from the daily "
    "refresh, from the crawl, or from a catalogue that `thumblab import` read.",
    metadata=kept("videos", "collection.md"),
)
