"""Define the job that encodes and measures the crawl's videos, and the sensor that starts this job.

Each run of the job works for some minutes on one niche. Such a run is called a turn. Between two turns, more urgent
runs can use the encoder.
"""

import json
import time
from collections.abc import Iterator

import dagster as dg

from thumblab_core.database.engine import explained
from thumblab_core.errors import LabError
from thumblab_pipelines.dagster_partitions import add_partitions
from thumblab_pipelines.defs.lab_checks import made
from thumblab_pipelines.defs.resources import LabResource
from thumblab_pipelines.defs.timing import BACKGROUND, UNFINISHED, max_runtime
from thumblab_pipelines.features.embed import waiting_for_encoder
from thumblab_pipelines.features.sub_scores import waiting_for_meter

encode_crawl = dg.define_asset_job(
    "encode_crawl",
    selection=made(dg.AssetSelection.assets("embeddings", "visual_features")),
    description="Encode and measure the crawl's videos of a niche for some minutes. Between two such runs, more "
    "urgent runs can start.",
    tags=max_runtime(hours=2) | BACKGROUND,
)


@dg.sensor(
    job=encode_crawl,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts the next turn for the niche that has the most crawled videos without vectors.",
)
def crawl_encoding(context: dg.SensorEvaluationContext, lab: LabResource) -> Iterator[dg.RunRequest | dg.SkipReason]:
    filters = dg.RunsFilter(job_name=encode_crawl.name, statuses=UNFINISHED)
    if context.instance.get_runs(filters=filters, limit=1):
        yield dg.SkipReason("the last turn of this job has not ended yet")
        return
    try:
        with explained():
            opened = lab.open()
            waiting = {
                niche: waiting_for_encoder(opened, niche) + waiting_for_meter(opened, niche) for niche in opened.niches
            }
    except LabError as error:
        yield dg.SkipReason(f"the crawl's videos cannot be read: {error}")
        return
    # If the last turn of a niche has changed nothing, all other niches come first. A turn changes nothing if, for
    # example, its pictures cannot be read.
    hour, tried = int(time.time() // 3600), json.loads(context.cursor or "{}")
    ready = {niche: count for niche, count in waiting.items() if count and tried.get(niche) != [count, hour]}
    if not ready:
        yield dg.SkipReason("every video of the crawl is encoded and measured, or was tried in this hour")
        return
    niche = max(ready, key=lambda niche: ready[niche])
    context.update_cursor(json.dumps({**tried, niche: [waiting[niche], hour]}))
    add_partitions(context.instance, [niche])
    # Dagster starts at most one run for each run key. So after a turn that changed nothing, the next turn of this niche
    # starts in the next hour.
    yield dg.RunRequest(
        partition_key=niche,
        run_key=f"{niche}/{waiting[niche]}/{hour}",
        tags={"thumblab/waiting": str(waiting[niche])},
    )
