"""Define the job that reports on a niche, and its weekly schedule."""

import dagster as dg

from thumblab_pipelines.defs.groups import niche_partitions
from thumblab_pipelines.defs.timing import max_runtime, niche_schedule

report_niche = dg.define_asset_job(
    "report_niche",
    selection=dg.AssetSelection.assets("niche_report"),
    partitions_def=niche_partitions,
    description="Report how the winners of a niche differ from other videos of the same channels.",
    tags=max_runtime(hours=1),
)

weekly_reports = niche_schedule(
    "weekly_reports",
    report_niche,
    # By 05:30, the daily refresh and retention have ended.
    "30 5 * * 1",
    "Reports on every niche, on Mondays at 05:30 in Hobart.",
)
