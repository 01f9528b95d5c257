"""Tests of importing reach reports from the emulator over real sockets.

YouTube's Reporting API offers one reach report a day, with each video's impressions and click-through rate.
"""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import dagster as dg
import pytest
from collected_videos import collect_video
from reach_owner import DAY, A, B, C, Owner, Row, import_error, lab_with, report
from sqlalchemy import insert, text, update

from demo import faults
from demo.faults import Fault
from demo.messages import Reply, json_reply
from thumblab_core.database.tables import channels, reach_reports, video_reach
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.owner_ctr.reach import ReachImport, check_reach
from thumblab_pipelines.owner_ctr.reach_api import client


def test_first_run_creates_the_job_and_says_when_the_first_report_comes(owner: Owner) -> None:
    first, second = owner.run(), owner.run()
    assert (first.job_is_new, second.job_is_new) == (True, False)
    for result in (first, second):
        assert result.reports == 0
        assert "YouTube has made no report yet" in result.note
        assert "48 hours" in result.note
        assert all(check.passed for check in check_reach(result))


def test_reports_are_stored_by_day_and_downloaded_once(owner: Owner) -> None:
    reports = [report(DAY, (A, 100, 0.05), (B, 50, 0.0)), report(DAY + timedelta(days=1), (A, 300, 0.0412345))]
    result = owner.import_reports(*reports)
    assert (result.reports, result.corrected, result.rows, result.new_days, result.videos) == (2, 0, 3, 2, 2)
    assert (result.first_day, result.last_day, result.problems) == (DAY, DAY + timedelta(days=1), [])
    expected = {(A, DAY): (100, 0.05), (B, DAY): (50, 0.0), (A, DAY + timedelta(days=1)): (300, 0.0412345)}
    assert owner.stored() == expected
    owner.emulator.inject(faults.refusal(500, "backendError"), endpoint="download", times=None)
    again = owner.run()
    assert (again.reports, again.rows) == (0, 0)
    assert "All 2 reports" in again.note
    assert owner.stored() == expected


def test_the_reach_of_videos_in_the_channel_of_a_key_is_not_stored(owner: Owner) -> None:
    collect_video(owner.lab, A)
    with owner.lab.engine.begin() as connection:
        connection.execute(update(channels).values(owner="a key"))
    result = owner.import_reports(report(DAY, (A, 100, 0.05), (B, 50, 0.1), (C, 9, 0.2)))
    assert set(owner.stored()) == {(B, DAY), (C, DAY)}
    assert (result.reports, result.videos, result.impressions) == (1, 2, 59)
    assert [remark.split(",")[0] for remark in result.remarks] == ["1 videos are in channels that belong to an API key"]


def test_true_ctr_view_weights_days_by_impressions(owner: Owner) -> None:
    owner.import_reports(report(DAY, (A, 100, 0.1)), report(DAY + timedelta(days=1), (A, 300, 0.02)))
    with owner.lab.engine.connect() as connection:
        row = connection.execute(text("SELECT * FROM true_ctr")).one()
    assert (row.video_id, row.source, row.impressions) == (A, "reach", 400)
    assert row.click_through_rate == pytest.approx(16 / 400)


def test_newer_report_replaces_its_day_and_older_one_does_not(owner: Owner) -> None:
    first, corrected = report(DAY, (A, 100, 0.05), (B, 9, 0.1)), report(DAY, (A, 120, 0.06), later=24)
    owner.import_reports(first)
    result = owner.import_reports(first, corrected)
    assert (result.reports, result.corrected, result.new_days) == (1, 1, 0)
    assert owner.stored() == {(A, DAY): (120, 0.06)}, "B is not in the corrected report"
    result = owner.import_reports(first, corrected, report(DAY, (A, 1, 1.0), later=12))
    assert result.reports == 0
    assert owner.stored() == {(A, DAY): (120, 0.06)}


def test_only_the_newest_report_of_a_day_is_imported(owner: Owner) -> None:
    result = owner.import_reports(*(report(DAY, (A, 100 + n, 0.05), later=(n * 7) % 5) for n in range(5)))
    assert result.reports == 1
    # The reports were made 0, 2, 4, 1 and 3 hours after noon. Report 2, with 102 impressions, is therefore the newest.
    assert owner.stored() == {(A, DAY): (102, 0.05)}


def test_older_report_is_not_imported_after_youtube_stops_listing_the_newer_one(owner: Owner) -> None:
    other = report(DAY - timedelta(days=1), (C, 1, 0.1))
    owner.import_reports(other, report(DAY, (A, 120, 0.06), later=24))
    owner.emulator.inject(faults.refusal(500, "backendError"), endpoint="download", times=None)
    assert owner.import_reports(other, replace(other), report(DAY, (A, 100, 0.05))).reports == 0
    assert owner.stored()[A, DAY] == (120, 0.06)


def test_concurrent_runs_store_each_report_once(owner: Owner) -> None:
    owner.run()
    owner.emulator.reach_reports = [report(DAY + timedelta(days=n), (A, 10, 0.1)) for n in range(6)]
    with ThreadPoolExecutor() as pool:
        results = [run.result() for run in [pool.submit(owner.run) for _ in range(3)]]
    assert sum(result.reports for result in results) == sum(result.new_days for result in results) == 6
    assert sum(result.impressions for result in results) == 60


@pytest.mark.parametrize(("hours", "kept"), [(-1, False), (1, True)])
def test_new_job_replaces_only_rows_of_older_reports(owner: Owner, hours: int, kept: bool) -> None:
    new = report(DAY, (A, 120, 0.06))
    created_at = new.created_at + timedelta(hours=hours)
    times = {"starts_at": new.created_at, "ends_at": new.created_at, "imported_at": new.created_at}
    with owner.lab.engine.begin() as connection:
        old_report = {"report_id": "old", "job_id": "expired", "created_at": created_at}
        connection.execute(insert(reach_reports).values(**old_report, **times))
        old_row = {"source": "reach", "day": DAY, "report_id": "old", "imported_at": created_at}
        connection.execute(insert(video_reach).values(video_id=A, impressions=1, click_through_rate=0.5, **old_row))
    owner.import_reports(new)
    assert owner.stored() == {(A, DAY): (1, 0.5) if kept else (120, 0.06)}


def test_all_pages_of_the_list_of_reports_are_read(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_PAGE", 2)
    days = [DAY - timedelta(days=n) for n in range(5)]
    result = owner.import_reports(*(report(day, (A, 10, 0.1)) for day in days))
    assert result.reports == 5
    assert set(owner.stored()) == {(A, day) for day in days}


@pytest.mark.parametrize("endpoint", ["jobs", "reports"])
def test_list_with_an_endless_page_token_is_read_once_and_remarked(owner: Owner, endpoint: str) -> None:
    def with_the_same_token(reply: Reply) -> Reply:
        return json_reply(200, json.loads(reply.body) | {"nextPageToken": "the same"})

    owner.import_reports(report(DAY, (A, 10, 0.1)))
    owner.emulator.inject(Fault(upon=with_the_same_token), endpoint=endpoint, times=10)
    owner.emulator.reach_reports.append(report(DAY + timedelta(days=1), (A, 10, 0.1)))
    result = owner.run()
    assert result.reports == 1
    assert len(owner.stored()) == 2
    if endpoint == "reports":  # The job is on the first page of jobs, so the second page of jobs is not read.
        assert result.remarks == [
            "YouTube's list of reports was not read beyond page 2: YouTube gave the same token for the next page again"
        ]


def test_interrupted_run_keeps_its_reports_and_the_next_run_continues(owner: Owner) -> None:
    reports = [report(DAY + timedelta(days=n), (A, 10 + n, 0.1)) for n in range(4)]
    owner.emulator.inject(faults.refusal(503, "backendError"), endpoint="download", times=None, after=2)
    owner.emulator.reach_reports = reports
    assert import_error(owner).transient
    assert len(owner.stored()) == 2
    owner.emulator.heal()
    assert owner.run().reports == 2
    assert len(owner.stored()) == 4


@pytest.mark.parametrize("endpoint", ["jobs", "reports", "download"])
@pytest.mark.parametrize(
    "fault",
    [
        faults.refusal(500, "backendError"),
        faults.refusal(429, "RATE_LIMIT_EXCEEDED"),
        faults.html_error(502),
        faults.hang_up(),
        faults.cut_off(),
    ],
    ids=["500", "429", "html", "hangup", "cut"],
)
def test_transient_errors_are_retried(owner: Owner, endpoint: str, fault: Fault) -> None:
    owner.emulator.inject(fault, endpoint=endpoint, times=3)
    assert owner.import_reports(report(DAY, (A, 10, 0.1))).reports == 1
    assert len(owner.stored()) == 1


def test_bad_row_is_reported_and_the_others_are_imported(owner: Owner) -> None:
    good = [(f"video_{n:05d}", 10, 0.1) for n in range(20)]
    bad: list[Row] = [("short", 10, 0.1), (A, -1, 0.1), (B, 10, 1.5), (good[0][0], 7, 0.1), (C, 0, 0.0)]
    result = owner.import_reports(report(DAY, *good, *bad))
    assert [problem.line for problem in result.problems] == [22, 23, 24, 25]
    expected = ("not the id of a video", "is not a count", "above 1", "has a second row")
    sentences = [problem.problem for problem in result.problems]
    for sentence, part in zip(sentences, expected, strict=True):
        assert part in sentence
        assert "report 1 of 2026-11-01" in sentence
    assert (result.rows, result.without_impressions, len(owner.stored())) == (25, 1, 20)
    assert [check.passed for check in check_reach(result)] == [False, True]


def test_report_whose_rates_are_not_fractions_is_refused_as_a_whole(owner: Owner) -> None:
    percent = report(DAY, *((f"video_{n:05d}", 1000, rate) for n, rate in enumerate((5.1, 0.9, 3.0))))
    good = report(DAY + timedelta(days=1), (A, 10, 0.1))
    result = owner.import_reports(percent, good)
    assert len(result.refused) == 1
    assert "2 of the 3 click-through rates in the report are above 1" in result.refused[0]
    assert set(owner.stored()) == {(A, DAY + timedelta(days=1))}
    assert not check_reach(result)[0].passed
    assert "above 1" in str(import_error(owner)), "the next run tries it again and refuses it again"


def test_check_fails_if_more_than_half_of_the_impressions_were_clicked() -> None:
    passed = {clicks: check_reach(ReachImport(impressions=2_000, clicks=clicks))[1].passed for clicks in (900, 1_100)}
    assert passed == {900: True, 1_100: False}


@pytest.mark.parametrize("content", ["", "<html>no</html>", "date,video_id\n20261101,x\n", "\0\0", '"' + "x" * 200_000])
def test_unreadable_report_is_refused_and_tried_again(owner: Owner, content: str) -> None:
    day = report(DAY, (A, 10, 0.1))
    owner.emulator.reach_reports = [replace(day, csv=content)]
    assert "report 1 of 2026-11-01: the file" in str(import_error(owner))
    assert owner.import_reports(day).reports == 1


def test_too_large_report_is_not_imported(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "LARGEST_REPORT", 200)
    small = report(DAY + timedelta(days=1), (A, 10, 0.1))
    result = owner.import_reports(report(DAY, *((f"video_{n:05d}", 10, 0.1) for n in range(9))), small)
    assert "is larger than" in result.refused[0]
    assert set(owner.stored()) == {(A, DAY + timedelta(days=1))}


def test_videos_in_the_library_are_counted(owner: Owner) -> None:
    collect_video(owner.lab, A)
    result = owner.import_reports(report(DAY, (A, 10, 0.1), (B, 10, 0.1)))
    assert (result.videos, result.in_library) == (2, 1)


def test_unreachable_api_is_a_transient_error(owner: Owner) -> None:
    owner.emulator.stop()
    error = import_error(owner)
    assert "could not be reached" in str(error)
    assert error.transient


def test_asset_stores_the_reports_and_its_checks_pass(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    owner.emulator.reach_reports = [report(DAY, (A, 100, 0.05))]
    result = _materialize(owner.lab, monkeypatch)
    assert result.success
    metadata = result.asset_materializations_for_node("true_ctr")[0].metadata
    assert (metadata["new_days"].value, metadata["dagster/row_count"].value) == (1, 1)
    assert {e.check_name: e.passed for e in result.get_asset_check_evaluations()} == {
        "readable": True,
        "plausible": True,
    }
    assert owner.stored() == {(A, DAY): (100, 0.05)}


def test_asset_without_credentials_fails_without_a_retry_and_says_why(
    owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = _materialize(lab_with(owner, youtube_owner_credentials=None), monkeypatch)
    assert not result.success
    failures = result.filter_events(lambda e: e.is_step_failure or e.is_step_up_for_retry)
    assert len(failures) == 1
    assert "THUMBLAB_YOUTUBE_OWNER_CREDENTIALS" in str(failures[0].step_failure_data.user_failure_data.description)


def _materialize(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Any:
    from thumblab_pipelines.defs.collection.true_ctr import true_ctr
    from thumblab_pipelines.defs.resources import LabResource

    monkeypatch.setattr(LabResource, "open", lambda _: lab)
    assets: Sequence[Any] = [true_ctr]
    return dg.materialize(assets, resources={"lab": LabResource()}, raise_on_error=False)
