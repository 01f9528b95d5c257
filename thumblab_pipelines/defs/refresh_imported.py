"""The job that serves imported videos: it runs the library and ranking steps without YouTube."""

from collections.abc import Iterator

import dagster as dg

from thumblab_core.errors import LabError
from thumblab_pipelines.defs.checks import explained
from thumblab_pipelines.defs.groups import RETRY
from thumblab_pipelines.defs.resources import LabResource, MlflowResource
from thumblab_pipelines.models.refresh import held_niches, refresh_all


@dg.op(
    description="Encodes, measures, indexes and serves the lab's videos, trains on them and serves the model; needs no key."
)
def serve_what_is_held(
    context: dg.OpExecutionContext, lab: LabResource, mlflow: MlflowResource
) -> Iterator[dg.AssetMaterialization | dg.Output[None]]:
    opened = lab.open()
    events: list[dg.AssetMaterialization] = []

    def record(asset: str, niche: str | None, rows: int) -> None:
        events.append(dg.AssetMaterialization(asset, partition=niche, metadata={"dagster/row_count": rows}))

    with explained():
        niches = held_niches(opened)
        if not niches:
            raise LabError("the lab has no videos yet; `thumblab import FOLDER` imports a catalogue")
        refreshed = refresh_all(
            opened,
            niches,
            mlflow.connect,
            lab.progress(context),
            record,
            say=context.log.info,
            note=context.log.warning,
        )
        yield from events  # also when a niche failed, because the others are served
        refreshed.require_all()
    model = refreshed.model
    metadata = {
        "niches": ", ".join(niches),
        "model": model.explanation if model else "not trained",
        "served": str((model and model.served) or "no model"),
    }
    yield dg.Output(None, metadata=metadata)


@dg.job(
    op_retry_policy=RETRY,
    description="Serve what was imported: from the embeddings to the index of every niche that has videos, then the model. "
    "Does not call YouTube.",
)
def refresh_imported() -> None:
    serve_what_is_held()
