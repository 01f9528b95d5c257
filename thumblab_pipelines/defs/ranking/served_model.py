"""served_model: the model that the service reads, and MLflow's champion."""

import dagster as dg

from thumblab_pipelines.channels.adapter import refit_channel_adapters
from thumblab_pipelines.defs.checks import advisory, blocking, explained, results
from thumblab_pipelines.defs.groups import RANKING
from thumblab_pipelines.defs.resources import LabResource, MlflowResource
from thumblab_pipelines.models.champion import serve_chosen, serve_newest
from thumblab_pipelines.models.promotion import check_served_model


class Choice(dg.Config):
    """Serve a release by hand: it must pass its checks, and is compared with nothing. Empty: the newest, by comparison."""

    release_id: str = ""
    by_alias: bool = False
    """The champion alias was put on it in MLflow, where it is left alone."""


@dg.asset(
    deps=["ranking_model"],
    kinds={"torch", "mlflow"},
    check_specs=[*blocking("served_model", "pointer"), *advisory("served_model", "promoted")],
    description="Moves the pointer and the champion alias to the newest model release, once its checks have passed and a "
    "paired bootstrap finds it not worse than the one that is served; or to the one that a person chose.",
    **RANKING,
)
def served_model(
    context: dg.AssetExecutionContext, config: Choice, lab: LabResource, mlflow: MlflowResource
) -> dg.MaterializeResult:
    with explained():
        tracker = mlflow.connect()
        if config.release_id:
            served = serve_chosen(lab.open(), tracker.registry, config.release_id, config.by_alias)
        else:
            served = serve_newest(lab.open(), tracker.registry)
        histories = refit_channel_adapters(lab.open(), served.release, lab.progress(context))
    for channel, why in histories.failed.items():
        context.log.warning(f"the history of {channel} was not learnt for this model: {why}")
    release, decision, version = served.release, served.decision, served.version
    context.log.info(f"{served.challenger.release_id}: {decision.reason}")
    compared = decision.comparison
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": release.info["videos"],
            "release": release.release_id,
            "future_auc": release.info["future_auc"],
            "challenger": served.challenger.release_id,
            "decision": decision.reason,
            "promoted": decision.promoted,
            "histories": {"learnt": len(histories.fitted), "failed": histories.failed},
            **({"mlflow_run": dg.MetadataValue.url(tracker.url(version.run_id))} if version else {}),
            **({"mlflow_version": version.number} if version else {}),
            **({"auc_difference": compared.difference, "auc_difference_low": compared.low} if compared else {}),
        },
        check_results=results(check_served_model(lab.open(), release, decision)),
    )
