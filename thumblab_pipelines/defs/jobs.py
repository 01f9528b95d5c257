"""The jobs: the library by niche, what is collected beside it, and the model over all niches.

One job over both kinds would run the global assets once per niche.

A run is ended and tried again after the twelve hours of `dagster.yaml`, or after the job's own limit (`_longest`); it goes
on from what the first try committed.
"""

from collections.abc import Iterator

import dagster as dg

from thumblab_core.errors import LabError
from thumblab_pipelines.defs.checks import explained
from thumblab_pipelines.defs.groups import RETRY, niche_partitions
from thumblab_pipelines.defs.resources import LabResource, MlflowResource
from thumblab_pipelines.steps.index_changes import resume, roll_back
from thumblab_pipelines.steps.refresh import held_niches, refresh_all


def _longest(hours: float) -> dict[str, str]:
    return {"dagster/max_runtime": str(round(3_600 * hours))}


refresh_library = dg.define_asset_job(
    "refresh_library",
    selection=dg.AssetSelection.groups("library"),
    description="Collect, embed, index and serve the library of a niche.",
)


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


rebuild_index = dg.define_asset_job(
    "rebuild_index",
    selection=dg.AssetSelection.assets("faiss_index", "served_index"),
    description="Build the index of a niche anew from what the database holds, and serve it.",
    tags=_longest(hours=2),
)


class RollBack(dg.Config):
    """Which release to serve: the one before the served one where none is named."""

    release_id: str = ""
    resume: bool = False
    """Instead: let what is newer be served again."""


@dg.op(description="Serves an older index of the niche and holds it, or lets what is newer be served again.")
def move_pointer(context: dg.OpExecutionContext, lab: LabResource, config: RollBack) -> None:
    niche = context.partition_key
    with explained():
        release = (
            resume(lab.open(), niche) if config.resume else roll_back(lab.open(), niche, config.release_id or None)
        )
    context.log.info(f"{niche} serves {release.release_id}")
    context.add_output_metadata({"release": release.release_id, "dagster/row_count": release.info["count"]})


@dg.job(
    partitions_def=niche_partitions,
    tags=_longest(hours=1),
    description="Serve an older index of a niche. No refresh replaces it until it is resumed, by this job or by hand.",
)
def roll_back_index() -> None:
    move_pointer()


crawl_corpus = dg.define_asset_job(
    "crawl_corpus",
    selection=dg.AssetSelection.assets("crawled_videos"),
    description="Go on with the crawl for training, as far as today's quota reaches.",
)

observe_views = dg.define_asset_job(
    "observe_views",
    selection=dg.AssetSelection.assets("view_history"),
    description="Look again at the counts of the videos that are due.",
    tags=_longest(hours=2),
)

apply_retention = dg.define_asset_job(
    "apply_retention",
    selection=dg.AssetSelection.assets("retention"),
    description="Refresh what is about to be too old, and forget what is gone.",
    tags=_longest(hours=2),
)

train_ranker = dg.define_asset_job(
    "train_ranker",
    selection=dg.AssetSelection.groups("ranking"),
    description="Build the training pairs, train, judge and serve the ranking model.",
)

serve_model = dg.define_asset_job(
    "serve_model",
    selection=dg.AssetSelection.assets("served_model"),
    description="Serve the newest model where it is not worse than the champion, or the one that its config names.",
    tags=_longest(hours=2),
)
