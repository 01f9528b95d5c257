"""The weekly training."""

import dagster as dg

from thumblab_pipelines.defs.timing import HOBART

train_ranker = dg.define_asset_job(
    "train_ranker",
    selection=dg.AssetSelection.groups("ranking"),
    description="Build the training pairs, train, judge and serve the ranking model.",
)


weekly_training = dg.ScheduleDefinition(
    name="weekly_training",
    job=train_ranker,
    # After the daily refresh, which takes far less than two hours.
    cron_schedule="0 5 * * 1",
    execution_timezone=HOBART,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Mondays at 05:00 in Hobart, on the library of that morning.",
)
