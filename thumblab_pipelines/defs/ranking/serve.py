"""Define the job that serves a model, and the sensor that watches MLflow's champion alias.

The job serves the newest model or a chosen model. The sensor starts the job when a person has moved the alias.
"""

import json
import time

import dagster as dg

from thumblab_core.errors import LabError
from thumblab_pipelines.defs.lab_checks import made
from thumblab_pipelines.defs.resources import LabResource, MlflowResource
from thumblab_pipelines.defs.timing import UNFINISHED, URGENT, max_runtime
from thumblab_pipelines.models.champion import check_alias

serve_model = dg.define_asset_job(
    "serve_model",
    selection=made(dg.AssetSelection.assets("served_model")),
    description="Serves the newest model if it is not worse than the champion, or the model that the config names.",
    tags=max_runtime(hours=2) | URGENT,
)


@dg.sensor(
    job=serve_model,
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Serves a model after a person has moved MLflow's champion alias to it.",
)
def champion_moved(
    context: dg.SensorEvaluationContext, lab: LabResource, mlflow: MlflowResource
) -> dg.SensorResult | dg.SkipReason:
    try:
        state = check_alias(lab.open(), mlflow.connect().registry)
    except LabError as error:
        return dg.SkipReason(str(error))
    chosen = state.chosen
    if chosen is None:
        return dg.SensorResult(skip_reason=state.explanation, cursor="{}")
    if chosen.release_id is None:
        return dg.SensorResult(skip_reason=f"{state.explanation}; the lab did not register this model", cursor="{}")
    # Dagster gives the cursor of this tick to the sensor's next tick. The cursor says when the sensor last requested a
    # run, and for which move of the alias. So the sensor requests at most one run per hour for the same move.
    move = [chosen.number, state.serving, int(time.time() // 3600)]
    if json.loads(context.cursor or "{}").get("asked") == move:
        outcome = f"; {chosen.promotion}" if chosen.promotion else ""
        return dg.SkipReason(
            f"{state.explanation}; a run was requested, and if it fails, the next run starts at the full hour{outcome}"
        )
    # A run may wait for hours until other runs have ended. Without this check, a further run would wait after every full
    # hour.
    if context.instance.get_runs(dg.RunsFilter(job_name=serve_model.name, statuses=UNFINISHED), limit=1):
        return dg.SkipReason(f"{state.explanation}; a run of {serve_model.name} is waiting or working")
    config = {"release_id": chosen.release_id, "by_alias": True}
    request = dg.RunRequest(
        run_config={"ops": {"served_model": {"config": config}}},
        tags={"thumblab/reason": state.explanation},
    )
    return dg.SensorResult(run_requests=[request], cursor=json.dumps({"asked": move}))
