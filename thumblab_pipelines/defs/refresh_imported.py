"""Serve what was imported: the job runs the work of the library and of the ranking, without YouTube."""

from collections.abc import Iterator

import dagster as dg

from thumblab_core.errors import LabError
from thumblab_pipelines.defs.checks import explained
from thumblab_pipelines.defs.groups import RETRY
from thumblab_pipelines.defs.resources import LabResource, MlflowResource
from thumblab_pipelines.models.refresh import held_niches, refresh_all


@dg.op(
    description="Encodes, measures, indexes and serves what the lab holds, trains on it and serves the model; no key needed."
)
def serve_what_is_held(
    context: dg.OpExecutionContext, lab: LabResource, mlflow: MlflowResource
) -> Iterator[dg.AssetMaterialization | dg.Output[None]]:
    opened = lab.open()
    events: list[dg.AssetMaterialization] = []

    def made(asset: str, niche: str | None, rows: int) -> None:
        events.append(dg.AssetMaterialization(asset, partition=niche, metadata={"dagster/row_count": rows}))

    with explained():
        niches = held_niches(opened)
        if not niches:
            raise LabError("the lab has no videos yet; `thumblab import FOLDER` brings a catalogue")
        found = refresh_all(
            opened, niches, mlflow.connect, lab.progress(context), made, say=context.log.info, note=context.log.warning
        )
        yield from events  # also where a niche failed: the others are served
        found.require_all()
    model = found.model
    told = {
        "niches": ", ".join(niches),
        "model": model.explanation if model else "not trained",
        "served": str((model and model.served) or "no model"),
    }
    yield dg.Output(None, metadata=told)


@dg.job(
    op_retry_policy=RETRY,
    description="Take what was imported to served: embeddings to the index of every niche that has videos, then the model. "
    "Asks YouTube nothing.",
)
def refresh_imported() -> None:
    serve_what_is_held()
