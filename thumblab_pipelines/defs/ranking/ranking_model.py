"""Define the asset `ranking_model`: a trained model release.

The model is logged to MLflow, where it becomes the challenger: the model that is compared with the champion. A
challenger is not served yet.
"""

import dagster as dg

from thumblab_pipelines.defs.checks import blocking, explained, results
from thumblab_pipelines.defs.groups import RANKING, TRAINER
from thumblab_pipelines.defs.kept import about, release_metadata
from thumblab_pipelines.defs.previews import preview
from thumblab_pipelines.defs.resources import LabResource, MlflowResource
from thumblab_pipelines.mlflow_links import mlflow_link
from thumblab_pipelines.models.build import build_model, check_model
from thumblab_pipelines.models.tracked_run import headline_name, headlines
from thumblab_pipelines.models.tracking import log_model
from thumblab_pipelines.previews.model_plots import model_plots
from thumblab_pipelines.ray_cluster.computed import place_of


@dg.asset(
    deps=["training_pairs", "videos"],
    kinds={"pytorch", "mlflow"},
    pool=TRAINER,
    check_specs=blocking(
        "ranking_model",
        intact="The release can be loaded, and its files match their checksums.",
        encoders="The model was trained on vectors of the encoders that the settings name.",
        alive="The scores of random inputs are finite and not all equal.",
        judged="The evaluation has enough held-out pairs.",
        beats_chance="On the future of known channels, the model orders more than half of the pairs correctly.",
    ),
    description="The ranking model, evaluated on the future of known channels and on unseen channels.",
    **about("ranking_model", "training-recipe.md", build_model, check_model),
    **RANKING,
)
def ranking_model(context: dg.AssetExecutionContext, lab: LabResource, mlflow: MlflowResource) -> dg.MaterializeResult:
    with explained():
        tracker = mlflow.connect()
        opened = lab.open()
        built = build_model(opened, progress=lab.progress(context), run_id=context.run.run_id)
        tracked = log_model(opened, tracker, built)
        checks = check_model(opened, built.release)
        place = "reused, not computed" if built.reused else place_of(opened.settings)
    if built.forgotten:
        context.log.warning(
            f"{built.forgotten} videos were left out because they were deleted after the pairs were made"
        )
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": built.release.info["videos"],
            **release_metadata(built.release),
            "reused": built.reused,
            "computed_by": place,
            "forgotten": built.forgotten,
            "epochs": len(built.history),
            "mlflow_run": mlflow_link(tracked.url),
            "mlflow_run_id": tracked.run_id,
            "mlflow_version": tracked.version,
            **preview(model_plots(built.release, built.evaluations)),
            **{headline_name(f): round(f.value, 4) for f in headlines(built.evaluations)},
        },
        check_results=results(checks),
    )
