"""Define the job `refresh_imported`, which builds and serves indices and a model from imported videos, without
YouTube."""

from collections.abc import Iterator

import dagster as dg

from thumblab_core.errors import LabError
from thumblab_pipelines.defs.checks import explained
from thumblab_pipelines.defs.groups import ENCODER, RETRY, TRAINER
from thumblab_pipelines.defs.resources import LabResource, MlflowResource
from thumblab_pipelines.models.refresh import (
    RefreshListener,
    RefreshResult,
    map_libraries,
    niches_with_videos,
    refresh_niches,
    train_and_serve,
)


# Encoding and training are two steps, because each has its own pool. If a long training held the pool of the encoder,
# the daily refresh would have to wait.
@dg.op(
    pool=ENCODER,
    description="Encodes, measures, indexes, serves and maps the lab's videos. Needs no API key.",
    out=dg.Out(str, description="Says which niches were not refreshed, and why. Empty if all niches were refreshed."),
)
def index_what_is_held(
    context: dg.OpExecutionContext, lab: LabResource
) -> Iterator[dg.AssetMaterialization | dg.Output[str]]:
    events: list[dg.AssetMaterialization] = []
    with explained():
        opened = lab.open()
        niches = niches_with_videos(opened)
        if not niches:
            raise LabError("the lab has no videos yet; `thumblab import FOLDER` imports a catalogue")
        listener = _listener(context, lab, events)
        done, failed = refresh_niches(opened, niches, listener)
        if done:
            map_libraries(opened, [niche.niche for niche in done], listener)
        # The indices of the other niches are already served. So the events of these niches are recorded before an error
        # is raised.
        yield from events
        problem = RefreshResult(done, failed, None).problem()
        retried = problem is not None and problem.transient and context.retry_number < RETRY.max_retries
        if problem is not None and (retried or not done):
            raise problem
    metadata = {"niches": ", ".join(niche.niche for niche in done), "not_refreshed": str(problem or "none")}
    yield dg.Output(str(problem or ""), metadata=metadata)


@dg.op(
    pool=TRAINER,
    description="Trains a model on the videos of the niches that were refreshed, and serves it. "
    "Then fails if a niche was not refreshed.",
    ins={
        "not_refreshed": dg.In(
            str, description="Says which niches were not refreshed, and why. Empty if all niches were refreshed."
        )
    },
)
def train_on_what_is_held(
    context: dg.OpExecutionContext, lab: LabResource, mlflow: MlflowResource, not_refreshed: str
) -> Iterator[dg.AssetMaterialization | dg.Output[None]]:
    events: list[dg.AssetMaterialization] = []
    with explained():
        model = train_and_serve(lab.open(), mlflow.connect, _listener(context, lab, events))
        yield from events
        if not_refreshed:
            raise LabError(not_refreshed)
    yield dg.Output(None, metadata={"model": model.explanation, "served": str(model.served or "no model")})


def _listener(
    context: dg.OpExecutionContext, lab: LabResource, events: list[dg.AssetMaterialization]
) -> RefreshListener:
    """Return a listener that logs the progress of the run, and adds an event to `events` for each asset that was
    made."""

    def record(asset: str, niche: str | None, rows: int) -> None:
        events.append(dg.AssetMaterialization(asset, partition=niche, metadata={"dagster/row_count": rows}))

    return RefreshListener(lab.progress(context), record, context.log.info, context.log.warning)


@dg.job(
    op_retry_policy=RETRY,
    description="Builds and serves an index for every niche that has imported videos, then trains and serves the model. "
    "Does not call YouTube.",
)
def refresh_imported() -> None:
    train_on_what_is_held(index_what_is_held())
