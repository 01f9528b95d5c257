"""Define the job `refresh_imported`. It builds and serves indices and a model from imported videos, without YouTube."""

from collections.abc import Iterator

import dagster as dg

from thumblab_core.errors import LabError
from thumblab_pipelines.defs.checks import explained
from thumblab_pipelines.defs.groups import ENCODER, RETRY
from thumblab_pipelines.defs.resources import LabResource, MlflowResource
from thumblab_pipelines.models.refresh import RefreshListener, niches_with_videos, refresh_all


@dg.op(
    pool=ENCODER,
    description="Encodes, measures, indexes and serves the lab's videos. Then trains and serves a model. Needs no API key.",
)
def serve_what_is_held(
    context: dg.OpExecutionContext, lab: LabResource, mlflow: MlflowResource
) -> Iterator[dg.AssetMaterialization | dg.Output[None]]:
    opened = lab.open()
    events: list[dg.AssetMaterialization] = []

    def record(asset: str, niche: str | None, rows: int) -> None:
        events.append(dg.AssetMaterialization(asset, partition=niche, metadata={"dagster/row_count": rows}))

    with explained():
        niches = niches_with_videos(opened)
        if not niches:
            raise LabError("the lab has no videos yet; `thumblab import FOLDER` imports a catalogue")
        listener = RefreshListener(lab.progress(context), record, context.log.info, context.log.warning)
        refreshed = refresh_all(opened, niches, mlflow.connect, listener)
        # Some niches may have been refreshed without an error, and their new indices are served. So the events of these
        # niches are reported to Dagster before the error is raised.
        yield from events
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
    description="Builds and serves an index for every niche that has imported videos, then trains and serves the model. "
    "Does not call YouTube.",
)
def refresh_imported() -> None:
    serve_what_is_held()
