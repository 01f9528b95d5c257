"""The jobs: the library by niche, what is collected beside it, and the model over all niches.

One job over both kinds would run the global assets once per niche.
"""

import dagster as dg

refresh_library = dg.define_asset_job(
    "refresh_library",
    selection=dg.AssetSelection.groups("library"),
    description="Collect, embed, index and serve the library of a niche.",
)

crawl_corpus = dg.define_asset_job(
    "crawl_corpus",
    selection=dg.AssetSelection.assets("crawled_videos"),
    description="Go on with the crawl for training, as far as today's quota reaches.",
)

observe_views = dg.define_asset_job(
    "observe_views",
    selection=dg.AssetSelection.assets("view_history"),
    description="Look again at the counts of the videos that are due.",
)

apply_retention = dg.define_asset_job(
    "apply_retention",
    selection=dg.AssetSelection.assets("retention"),
    description="Refresh what is about to be too old, and forget what is gone.",
)

train_ranker = dg.define_asset_job(
    "train_ranker",
    selection=dg.AssetSelection.groups("ranking"),
    description="Build the training pairs, train, judge and serve the ranking model.",
)
