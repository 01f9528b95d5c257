"""Serve a model: the newest one, or the one that has the MLflow alias."""

import json
import time

import dagster as dg

from thumblab_core.errors import LabError
from thumblab_pipelines.defs.resources import LabResource, MlflowResource
from thumblab_pipelines.defs.timing import max_runtime
from thumblab_pipelines.models.champion import watch

serve_model = dg.define_asset_job(
    "serve_model",
    selection=dg.AssetSelection.assets("served_model"),
    description="Serve the newest model where it is not worse than the champion, or the one that its config names.",
    tags=max_runtime(hours=2),
)


@dg.sensor(
    job=serve_model,
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Serves the model that a person put MLflow's champion alias on.",
)
def champion_moved(
    context: dg.SensorEvaluationContext, lab: LabResource, mlflow: MlflowResource
) -> dg.SensorResult | dg.SkipReason:
    try:
        found = watch(lab.open(), mlflow.connect().registry)
    except LabError as error:
        return dg.SkipReason(str(error))
    chosen = found.chosen
    if chosen is None:
        return dg.SensorResult(skip_reason=found.explanation, cursor="{}")
    if chosen.release_id is None:
        return dg.SensorResult(skip_reason=f"{found.explanation}, which the lab did not register", cursor="{}")
    # The cursor holds the move that a run was last asked for: not again for the same one, but for a try every hour.
    move = [chosen.number, found.serving, int(time.time() // 3600)]
    if json.loads(context.cursor or "{}").get("asked") == move:
        said = f"; {chosen.promotion}" if chosen.promotion else ""
        return dg.SkipReason(f"{found.explanation}; a run was asked for, and is again at the full hour{said}")
    config = {"release_id": chosen.release_id, "by_alias": True}
    request = dg.RunRequest(
        run_config={"ops": {"served_model": {"config": config}}},
        tags={"thumblab/reason": f"{found.explanation}"},
    )
    return dg.SensorResult(run_requests=[request], cursor=json.dumps({"asked": move}))
