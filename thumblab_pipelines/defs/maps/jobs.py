"""Define the jobs that make the library maps, their daily schedules, and the job that serves an older map."""

import dagster as dg

from thumblab_core.releases.release import ALL
from thumblab_pipelines.dagster_observations import observed_moves
from thumblab_pipelines.defs.checks import explained
from thumblab_pipelines.defs.groups import niche_partitions
from thumblab_pipelines.defs.resources import LabResource
from thumblab_pipelines.defs.timing import URGENT, lab_schedule, max_runtime, niche_schedule
from thumblab_pipelines.library_map.rollback import resume_map, roll_back_map

map_library = dg.define_asset_job(
    "map_library",
    selection=dg.AssetSelection.assets("library_map"),
    partitions_def=niche_partitions,
    description="Map the library of a niche, and serve the map.",
    tags=max_runtime(hours=2),
)

map_all_libraries = dg.define_asset_job(
    "map_all_libraries",
    selection=dg.AssetSelection.assets("library_map_of_all"),
    description="Map the libraries of all niches together, and serve the map.",
    tags=max_runtime(hours=4),
)

daily_maps = niche_schedule(
    "daily_maps",
    map_library,
    # By 06:00, the daily refresh, retention and the weekly reports have ended.
    "0 6 * * *",
    "Makes the map of every niche, daily at 06:00 in Hobart.",
)

daily_map_of_all = lab_schedule(
    "daily_map_of_all",
    map_all_libraries,
    "30 6 * * *",
    "Makes the map of all niches together, daily at 06:30 in Hobart.",
)


class MapToServe(dg.Config):
    """Config that chooses the map to serve."""

    scope: str = ALL
    """A niche, or `all` for the map of all niches."""
    release_id: str = ""
    """The id of the map to serve. If this text is empty, the job serves the map that was served before the present map.
    """
    resume: bool = False
    """Whether to end the hold, and let the next build be served. `release_id` is then ignored."""


@dg.op(description="Serves an older map and holds it, or ends the hold.")
def move_map_pointer(context: dg.OpExecutionContext, lab: LabResource, config: MapToServe) -> None:
    with explained(), observed_moves(lab.open(), context, "the job roll_back_map"):
        release = (
            resume_map(lab.open(), config.scope)
            if config.resume
            else roll_back_map(lab.open(), config.scope, config.release_id or None)
        )
    context.log.info(f"{config.scope} serves {'no map' if release is None else release.release_id}")


@dg.job(
    name="roll_back_map",
    tags=max_runtime(hours=1) | URGENT,
    description="Serve an older library map. No build replaces it until this job ends the hold.",
)
def roll_back_map_job() -> None:
    move_map_pointer()
