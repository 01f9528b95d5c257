"""Define the asset `ranking_model`: a trained model release.

The model is logged to MLflow, where it becomes the challenger, the model to compare with the champion. It is not served
yet.
"""

import dagster as dg

from thumblab_pipelines.defs.checks import blocking, explained, results
from thumblab_pipelines.defs.groups import RANKING
from thumblab_pipelines.defs.resources import LabResource, MlflowResource
from thumblab_pipelines.models.build import build_model, check_model
from thumblab_pipelines.models.tracked_run import headline_name, headlines
from thumblab_pipelines.models.tracking import log_model


@dg.asset(
    deps=["training_pairs"],
    kinds={"torch", "mlflow"},
    check_specs=blocking("ranking_model", "intact", "encoders", "alive", "judged", "beats_chance"),
    description="The ranking model, evaluated on the future of known channels and on unseen channels.",
    **RANKING,
)
def ranking_model(context: dg.AssetExecutionContext, lab: LabResource, mlflow: MlflowResource) -> dg.MaterializeResult:
    with explained():
        tracker = mlflow.connect()
        opened = lab.open()
        built = build_model(opened, progress=lab.progress(context), run_id=context.run.run_id)
        tracked = log_model(opened, tracker, built)
        checks = check_model(opened, built.release)
    if built.forgotten:
        context.log.warning(
            f"{built.forgotten} videos were left out because they were deleted after the pairs were made"
        )
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": built.release.info["videos"],
            "release": built.release.release_id,
            "reused": built.reused,
            "forgotten": built.forgotten,
            "epochs": len(built.history),
            "mlflow_run": dg.MetadataValue.url(tracked.url),
            "mlflow_version": tracked.version,
            **{headline_name(f): round(f.value, 4) for f in headlines(built.evaluations)},
        },
        check_results=results(checks),
    )
