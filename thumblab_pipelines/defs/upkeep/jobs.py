"""Define the jobs and schedules that observe view counts and apply retention."""

import dagster as dg

from thumblab_pipelines.defs.timing import AFTER_DAILY, DAILY, HOBART, URGENT, max_runtime, niche_schedule

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
    "Observes the view counts of every niche, every six hours.",
    timespec="minutes",
)

apply_retention = dg.define_asset_job(
    "apply_retention",
    selection=dg.AssetSelection.assets("retention"),
    description="Refresh the videos of a niche before they are too old, and delete removed and expired videos.",
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

apply_lab_retention = dg.define_asset_job(
    "apply_lab_retention",
    selection=dg.AssetSelection.assets("lab_retention"),
    description="Remove deleted videos from the data that all niches share, and apply retention to retired niches.",
    tags=max_runtime(hours=2) | AFTER_DAILY,
)

daily_lab_retention = dg.ScheduleDefinition(
    name="daily_lab_retention",
    job=apply_lab_retention,
    # By 04:40, the runs of the schedule `daily_retention` are in the queue. They have a higher priority and use the same
    # pool, so this run starts its work after those runs. If one of those runs fails, this run still does its work.
    cron_schedule="40 4 * * *",
    execution_timezone=HOBART,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Cleans the data that all niches share, daily at 04:40 in Hobart, after the retention of the niches.",
)
