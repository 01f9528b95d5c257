"""Define the jobs and schedules that observe view counts and apply retention."""

import dagster as dg

from thumblab_pipelines.defs.timing import DAILY, URGENT, max_runtime, niche_schedule

observe_views = dg.define_asset_job(
    "observe_views",
    selection=dg.AssetSelection.assets("view_history"),
    description="Observe the counts of all videos that are due for another observation.",
    tags=max_runtime(hours=2) | URGENT,
)

frequent_observation = niche_schedule(
    "frequent_observation",
    observe_views,
    "15 */6 * * *",
    "Observes every niche, every six hours.",
    timespec="minutes",
)

apply_retention = dg.define_asset_job(
    "apply_retention",
    selection=dg.AssetSelection.assets("retention"),
    description="Refresh videos before they are too old, and delete removed and expired videos.",
    tags=max_runtime(hours=2) | DAILY,
)

daily_retention = niche_schedule(
    "daily_retention",
    apply_retention,
    # By 04:30, the daily refresh has ended. On Mondays, the weekly training starts at 05:00, after retention. So no
    # model is trained on videos that retention would delete soon after.
    "30 4 * * *",
    "Applies retention to every niche, daily at 04:30 in Hobart.",
)
