"""What starts when somebody asks for it, and not by the clock."""

import json
import time
from collections.abc import Iterator

import dagster as dg

from thumblab_core.errors import LabError
from thumblab_pipelines.defs.jobs import rebuild_index, serve_model
from thumblab_pipelines.defs.resources import LabResource, MlflowResource
from thumblab_pipelines.steps.champion import watch
from thumblab_pipelines.steps.index_changes import rebuilds_asked_for


@dg.sensor(
    job=rebuild_index,
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Builds the index of a niche that could not take a change in place.",
)
def index_rebuilds(lab: LabResource) -> Iterator[dg.RunRequest | dg.SkipReason]:
    asked = rebuilds_asked_for(lab.open())
    if not asked:
        yield dg.SkipReason("nobody asked for a rebuild")
    for request in asked:
        yield dg.RunRequest(
            partition_key=request.niche,
            # One that fails is tried again every hour.
            run_key=f"{request.niche}/{request.asked_at.isoformat()}/{int(time.time() // 3600)}",
            tags={"thumblab/reason": request.reason[:200]},
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
