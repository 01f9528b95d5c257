"""Define the job that serves an older index of a niche and holds this index. The job can also end such a hold."""

import dagster as dg

from thumblab_pipelines.dagster_observations import observed_moves
from thumblab_pipelines.defs.checks import explained
from thumblab_pipelines.defs.groups import niche_partitions
from thumblab_pipelines.defs.resources import LabResource
from thumblab_pipelines.defs.timing import URGENT, max_runtime
from thumblab_pipelines.library.changes import resume, roll_back


class RollBack(dg.Config):
    """Config that chooses the release to serve.

    If `release_id` is empty, the job chooses among the releases that were served before and are older than the served
    release. The job takes the newest of these releases.
    """

    release_id: str = ""
    resume: bool = False
    """Whether to end the hold and serve the newest release again. If so, `release_id` is ignored."""


@dg.op(description="Serves an older index of the niche and holds it, or ends the hold.")
def move_pointer(context: dg.OpExecutionContext, lab: LabResource, config: RollBack) -> None:
    niche = context.partition_key
    with explained(), observed_moves(lab.open(), context, "the job roll_back_index"):
        release = (
            resume(lab.open(), niche) if config.resume else roll_back(lab.open(), niche, config.release_id or None)
        )
    context.log.info(f"{niche} serves {release.release_id}")
    context.add_output_metadata({"release": release.release_id, "dagster/row_count": release.info["count"]})


@dg.job(
    partitions_def=niche_partitions,
    tags=max_runtime(hours=1) | URGENT,
    description="Serve an older index of a niche. No refresh replaces it until this job or a command ends the hold.",
)
def roll_back_index() -> None:
    move_pointer()
