"""served_model: the newest good model is the one that the service reads, and MLflow's champion."""

import dagster as dg

from thumblab_pipelines.defs.checks import blocking, explained, results
from thumblab_pipelines.defs.groups import RANKING
from thumblab_pipelines.defs.resources import LabResource, MlflowResource
from thumblab_pipelines.steps.ranking import judge_served_model, promote_model


@dg.asset(
    deps=["ranking_model"],
    kinds={"torch", "mlflow"},
    check_specs=blocking("served_model", "pointer"),
    description="Moves the pointer and the champion alias to the newest model release, once its checks have passed.",
    **RANKING,
)
def served_model(lab: LabResource, mlflow: MlflowResource) -> dg.MaterializeResult:
    with explained():
        tracker = mlflow.connect()
        release = promote_model(lab.open())
        tracked = tracker.crown(release)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": release.info["videos"],
            "release": release.release_id,
            "future_auc": release.info["future_auc"],
            "mlflow_run": dg.MetadataValue.url(tracked.url),
            "mlflow_version": tracked.version,
        },
        check_results=results(judge_served_model(lab.open(), release)),
    )
