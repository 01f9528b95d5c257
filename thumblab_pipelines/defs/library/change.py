"""Define the job that adds videos to the served index of a niche, or removes them. The service starts the job."""

from dataclasses import asdict

import dagster as dg

from thumblab_core.releases.release import ALL
from thumblab_pipelines.dagster_observations import observed_moves
from thumblab_pipelines.defs.checks import explained
from thumblab_pipelines.defs.resources import LabResource
from thumblab_pipelines.defs.timing import URGENT, max_runtime
from thumblab_pipelines.library.requested_changes import change_items
from thumblab_pipelines.library_map.trim import clean_maps


class ItemsToChange(dg.Config):
    """Config that names the videos, and says whether to add or remove them."""

    video_ids: list[str]
    take_out: bool = False
    """Whether to remove the videos and keep them out of later builds. If false, the videos are added."""
    niche: str = ""
    """The niche of the videos. If this text is empty, the niche of the first video that the lab knows is used."""


@dg.op(description="Adds videos to the served index of their niche, or removes them from the index and from the maps.")
def change_items_in_index(context: dg.OpExecutionContext, lab: LabResource, config: ItemsToChange) -> None:
    with explained(), observed_moves(lab.open(), context, "the job change_index"):
        changed = change_items(
            lab.open(), "take_out" if config.take_out else "put_in", config.video_ids, config.niche or None
        )
        if config.take_out and changed.niche is not None:
            clean_maps(lab.open(), (changed.niche, ALL), context.run.run_id)
    for video_id, reason in changed.skipped.items():
        context.log.warning(f"{video_id} is skipped: {reason}")
    if changed.rebuild_required:
        context.log.warning(changed.rebuild_required)
    context.add_output_metadata({"changed_items": dg.MetadataValue.json(asdict(changed))})


# The job is not partitioned by niche, because a partition has only one run at a time. A small change would have to wait
# for hours if the niche were being refreshed. The lock of the index already lets only one process write to the index at
# a time.
@dg.job(
    tags=max_runtime(hours=1) | URGENT,
    description="Add videos to the served index of a niche, or remove them. The service starts this job.",
)
def change_index() -> None:
    change_items_in_index()
