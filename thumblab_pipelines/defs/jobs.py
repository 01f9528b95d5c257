"""Two jobs: the library by niche, and the model over all niches.

One job over both would run the global assets once per niche.
"""

import dagster as dg

refresh_library = dg.define_asset_job(
    "refresh_library",
    selection=dg.AssetSelection.groups("library"),
    description="Collect, embed, index and serve the library of a niche.",
)

train_ranker = dg.define_asset_job(
    "train_ranker",
    selection=dg.AssetSelection.groups("ranking"),
    description="Build the training pairs, train, judge and serve the ranking model.",
)
