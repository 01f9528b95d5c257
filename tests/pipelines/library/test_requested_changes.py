"""Test the Dagster job `change_index`, which changes the served index for the service."""

import json
from typing import Any

import dagster as dg
import pytest
from library_helpers import NICHE, OTHER, ids, rebuild, served, served_ids

from thumblab_core.database.tables import index_rebuilds
from thumblab_core.errors import LabError
from thumblab_pipelines.definitions import defs
from thumblab_pipelines.defs.resources import LabResource
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.library.changes import roll_back
from thumblab_pipelines.library.requested_changes import change_items


def run_job(lab: Lab, **config: Any) -> tuple[dg.ExecuteInProcessResult, dict[str, Any]]:
    """Run the job `change_index` in this process. Return the result of the job, and the report in its metadata."""
    job = defs().resolve_job_def("change_index")
    result = job.execute_in_process(
        run_config={"ops": {"change_items_in_index": {"config": config}}},
        resources={"lab": LabResource.in_this_process(lab.settings, lambda *_: None)},
        raise_on_error=False,
    )
    reported = [
        entry.value
        for event in result.all_events
        if event.is_successful_output
        for entry in event.step_output_data.metadata.values()
    ]
    return result, reported[0] if reported else {}


def test_the_niche_of_a_video_need_not_be_named(lab: Lab) -> None:
    video = ids(lab, OTHER)[0]
    changed = change_items(lab, "take_out", ["unknown", video])
    assert (changed.niche, changed.taken_out) == (OTHER, [video])
    assert changed.release == served(lab, OTHER).release_id
    assert list(changed.skipped) == ["unknown"]
    assert change_items(lab, "put_in", [video]).put_in == [video]


def test_videos_that_the_lab_does_not_know_are_skipped_with_the_reason(lab: Lab) -> None:
    before = served(lab)
    changed = change_items(lab, "put_in", ["550"])
    assert (changed.niche, changed.put_in, changed.rebuild_required) == (None, [], None)
    assert "the lab does not know it" in changed.skipped["550"]
    assert served(lab) == before


def test_a_video_of_another_niche_is_skipped(lab: Lab) -> None:
    video = ids(lab, OTHER)[0]
    assert change_items(lab, "put_in", [video], NICHE).skipped == {video: f"it is a video of {OTHER}"}


def test_the_job_reports_what_it_changed_as_json(lab: Lab) -> None:
    video = ids(lab)[0]
    result, reported = run_job(lab, video_ids=[video], take_out=True)
    assert result.success
    assert json.loads(json.dumps(reported)) == {
        "niche": NICHE,
        "release": served(lab).release_id,
        "put_in": [],
        "taken_out": [video],
        "skipped": {},
        "rebuild_required": None,
    }
    assert video not in served_ids(lab)
    assert run_job(lab, video_ids=[video], niche=NICHE)[1]["put_in"] == [video]
    assert video in served_ids(lab)


def test_an_index_that_cannot_take_the_change_is_reported_and_a_rebuild_is_requested(lab: Lab) -> None:
    lab.releases.serving.withdraw("index", NICHE)
    result, reported = run_job(lab, video_ids=ids(lab)[:1])
    assert result.success
    assert reported["rebuild_required"].startswith(f"rebuild required: {NICHE} serves no index yet")
    with lab.engine.connect() as connection:
        assert list(connection.scalars(index_rebuilds.select().with_only_columns(index_rebuilds.c.niche))) == [NICHE]


def test_a_held_index_fails_the_run_with_its_reason(lab: Lab) -> None:
    rebuild(lab)
    change_items(lab, "take_out", ids(lab)[:1])
    roll_back(lab, NICHE)
    with pytest.raises(LabError, match="is held"):
        change_items(lab, "put_in", ids(lab)[:1])
    result, _ = run_job(lab, video_ids=ids(lab)[:1])
    [failure] = result.filter_events(lambda event: event.is_step_failure)
    assert "is held: rolled back" in failure.step_failure_data.user_failure_data.description
