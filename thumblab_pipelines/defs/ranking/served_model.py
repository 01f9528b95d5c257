"""Define the asset `served_model`: the model that the service uses. The served model is also MLflow's champion."""

import dagster as dg

from thumblab_pipelines.channels.adapter import refit_channel_adapters
from thumblab_pipelines.defs.checks import advisory, blocking, explained, results
from thumblab_pipelines.defs.groups import RANKING
from thumblab_pipelines.defs.kept import about, release_metadata
from thumblab_pipelines.defs.resources import LabResource, MlflowResource
from thumblab_pipelines.mlflow_links import mlflow_link
from thumblab_pipelines.models.champion import serve_chosen, serve_newest
from thumblab_pipelines.models.promotion import check_served_model


class ServedModelConfig(dg.Config):
    """Config that chooses the model to serve.

    The release `release_id` is served if its checks pass, without a comparison with the champion. If `release_id` is
    empty, the newest model is compared with the champion, and served if it is not worse.
    """

    release_id: str = ""
    by_alias: bool = False
    """Whether a person has already moved MLflow's champion alias to the release. If so, the lab does not move the
    alias."""


@dg.asset(
    deps=["ranking_model"],
    kinds={"pytorch", "mlflow"},
    check_specs=[
        *blocking("served_model", pointer="The service reads the release that this run decided to serve."),
        *advisory("served_model", promoted="The newest model was served, because it is not worse than the champion."),
    ],
    description="Serves the newest model: moves the pointer and the champion alias to its release. The checks of the "
    "release must pass, and the release must not be worse than the served model on the same held-out pairs. A release "
    "that a person chose is not compared.",
    **about("served_model", "model-card.md", serve_newest, serve_chosen, refit_channel_adapters),
    **RANKING,
)
def served_model(
    context: dg.AssetExecutionContext, config: ServedModelConfig, lab: LabResource, mlflow: MlflowResource
) -> dg.MaterializeResult:
    with explained():
        tracker = mlflow.connect()
        if config.release_id:
            served = serve_chosen(lab.open(), tracker.registry, config.release_id, config.by_alias)
        else:
            served = serve_newest(lab.open(), tracker.registry)
        adapters = refit_channel_adapters(lab.open(), served.release, lab.progress(context))
    for channel, reason in adapters.failed.items():
        context.log.warning(f"the channel adapter of {channel} was not fitted for this model: {reason}")
    release, decision, version = served.release, served.decision, served.version
    context.log.info(f"{served.challenger.release_id}: {decision.reason}")
    differences = {comparison.question: comparison for comparison in decision.comparisons}
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": release.info["videos"],
            **release_metadata(release),
            "future_auc": release.info["future_auc"],
            "challenger": served.challenger.release_id,
            "decision": decision.reason,
            "promoted": decision.promoted,
            "histories": {"learnt": len(adapters.fitted), "failed": adapters.failed},
            **({"mlflow_run": mlflow_link(tracker.url(version.run_id))} if version else {}),
            **({"mlflow_version": version.number} if version else {}),
            **{f"auc_difference_{question}": one.difference for question, one in differences.items()},
            **{f"auc_difference_{question}_low": one.low for question, one in differences.items()},
        },
        check_results=results(check_served_model(lab.open(), release, decision)),
    )
