"""Define the jobs that rebuild the index of a niche, and the sensor that starts a rebuild on request."""

import time
from collections.abc import Iterator

import dagster as dg

from thumblab_core.database.engine import explained
from thumblab_core.errors import LabError
from thumblab_pipelines.dagster_partitions import add_partitions
from thumblab_pipelines.defs.lab_checks import made
from thumblab_pipelines.defs.resources import LabResource
from thumblab_pipelines.defs.timing import BACKGROUND, DAILY, UNFINISHED, max_runtime
from thumblab_pipelines.library.rebuild_requests import open_rebuild_requests

rebuild_index = dg.define_asset_job(
    "rebuild_index",
    selection=made(dg.AssetSelection.assets("faiss_index", "served_index")),
    description="Rebuild the index of a niche from the database, and serve it.",
    tags=max_runtime(hours=2) | DAILY,
)

embed_library = dg.define_asset_job(
    "embed_library",
    selection=made(dg.AssetSelection.assets("embeddings", "faiss_index", "served_index")),
    description="Encode the thumbnails and titles of a niche that have no vector yet, rebuild its index, and serve it.",
    tags=BACKGROUND,
)


@dg.sensor(
    job=rebuild_index,
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts a rebuild for each request. For example, the service requests a rebuild if it cannot add a "
    "video to an index.",
)
def index_rebuilds(context: dg.SensorEvaluationContext, lab: LabResource) -> Iterator[dg.RunRequest | dg.SkipReason]:
    try:
        with explained():
            opened = lab.open()
            niches = opened.niches
            # A request of a retired niche waits until somebody restores the niche.
            requests = [request for request in open_rebuild_requests(opened) if request.niche in niches]
    except LabError as error:
        yield dg.SkipReason(f"the requests cannot be read: {error}")
        return
    if not requests:
        yield dg.SkipReason("no rebuild was requested")
        return
    # A rebuild may wait for hours, for example until the first refresh of the niche has ended. Without this filter, a
    # further run would wait after every full hour.
    unfinished = context.instance.get_runs(dg.RunsFilter(job_name=rebuild_index.name, statuses=UNFINISHED))
    rebuilt = {run.tags.get("dagster/partition") for run in unfinished}
    waiting = [request for request in requests if request.niche not in rebuilt]
    if not waiting:
        yield dg.SkipReason("a run is waiting or working for each requested rebuild")
    add_partitions(context.instance, [request.niche for request in waiting])
    for request in waiting:
        yield dg.RunRequest(
            partition_key=request.niche,
            # Dagster starts at most one run for each run key. The key contains the hour, so a failed rebuild is started
            # again in the next hour.
            run_key=f"{request.niche}/{request.asked_at.isoformat()}/{int(time.time() // 3600)}",
            tags={"thumblab/reason": request.reason[:200]},
        )
