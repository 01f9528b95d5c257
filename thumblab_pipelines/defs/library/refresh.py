"""Define the job that refreshes a library, and its daily schedule."""

import dagster as dg

from thumblab_pipelines.defs.lab_checks import made
from thumblab_pipelines.defs.timing import DAILY, niche_schedule

refresh_library = dg.define_asset_job(
    "refresh_library",
    selection=made(dg.AssetSelection.groups("library")),
    description="Collect, embed, index and serve the library of a niche.",
    tags=DAILY,
)

daily_refresh = niche_schedule(
    "daily_refresh", refresh_library, "0 3 * * *", "Refreshes every niche, daily at 03:00 in Hobart."
)
