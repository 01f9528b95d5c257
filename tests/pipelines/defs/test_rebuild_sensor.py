"""Test when the sensor `index_rebuilds` starts a run for a requested rebuild."""

import dagster as dg

from thumblab_pipelines.defs.library.rebuild import index_rebuilds
from thumblab_pipelines.defs.resources import LabResource
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.library.rebuild_requests import request_rebuild


def asked(instance: dg.DagsterInstance) -> list[str | None]:
    """Evaluate the sensor once, and return the niches of the runs that it requests."""
    with dg.build_sensor_context(instance, resources={"lab": LabResource()}) as context:
        return [done.partition_key for done in index_rebuilds(context) if isinstance(done, dg.RunRequest)]


def test_while_a_rebuild_waits_or_works_no_further_rebuild_of_its_niche_is_started(
    instance: dg.DagsterInstance,
) -> None:
    lab = Lab.open()
    request_rebuild(lab, "tech", "the index cannot take a video")
    assert asked(instance) == ["tech"]
    working = dg.DagsterRun("rebuild_index", status=dg.DagsterRunStatus.STARTED, tags={"dagster/partition": "tech"})
    run = instance.add_run(working)
    assert asked(instance) == []
    request_rebuild(lab, "news", "the index cannot take a video")
    assert asked(instance) == ["news"]
    instance.report_run_failed(run)
    assert asked(instance) == ["news", "tech"]
    instance.delete_run(run.run_id)
