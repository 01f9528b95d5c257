"""Roll the index of a niche back, or end the hold."""

import dagster as dg

from thumblab_pipelines.defs.checks import explained
from thumblab_pipelines.defs.groups import niche_partitions
from thumblab_pipelines.defs.resources import LabResource
from thumblab_pipelines.defs.timing import max_runtime
from thumblab_pipelines.library.changes import resume, roll_back


class RollBack(dg.Config):
    """Which release to serve. If none is named, it is the one that was served before."""

    release_id: str = ""
    resume: bool = False
    """Whether to end the hold instead, and serve the newest release again."""


@dg.op(description="Serves an older index of the niche and holds it, or ends the hold.")
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
    tags=max_runtime(hours=1),
    description="Serve an older index of a niche. No refresh replaces it until this job or a command ends the hold.",
)
def roll_back_index() -> None:
    move_pointer()
