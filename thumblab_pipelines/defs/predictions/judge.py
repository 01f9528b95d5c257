"""Define the job that measures the quality of kept predictions, and its schedule."""

import dagster as dg

from thumblab_pipelines.defs.lab_checks import made
from thumblab_pipelines.defs.timing import HOBART, max_runtime

judge_predictions = dg.define_asset_job(
    "judge_predictions",
    selection=made(dg.AssetSelection.assets("prediction_quality")),
    description="Compare the kept predictions of the scoring service with the outcomes of their candidates.",
    tags=max_runtime(hours=1),
)

daily_prediction_quality = dg.ScheduleDefinition(
    name="daily_prediction_quality",
    job=judge_predictions,
    # By 06:00, the daily run of `retention` has ended. So no prediction is joined with a video that must be deleted.
    cron_schedule="0 6 * * *",
    execution_timezone=HOBART,
    # The schedule is off by default, because the service keeps no predictions by default.
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Judges the kept predictions daily at 06:00 in Hobart. This schedule is off until you turn it on.",
)
