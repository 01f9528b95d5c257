"""Test the emulator's Reporting API with Google's own client. The tests cover OAuth, jobs, reports and CSV."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from emulated import error, get, send
from google.oauth2.credentials import Credentials
from googleapiclient.discovery import build

from demo import faults
from demo.catalogues.synthetic import SyntheticCatalogue
from demo.emulator import Emulator
from demo.reporting import REACH, ReachReport, reach_csv

FIRST = date(2026, 11, 10)
ROWS = [(FIRST, "UCowner", "abcdefghijk", 1_000, 0.0625), (FIRST, "UCowner", "lmnopqrstuv", 0, 0.0)]


@pytest.fixture
def emulator(small_catalogue: SyntheticCatalogue) -> Iterator[Emulator]:
    with Emulator(small_catalogue, refresh_token="refresh me") as running:
        running.reach_reports = [
            ReachReport(FIRST + timedelta(days=n), FIRST + timedelta(days=n + 1), reach_csv(ROWS)) for n in range(5)
        ]
        yield running


def reporting(emulator: Emulator, refresh_token: str = "refresh me") -> Any:
    credentials = Credentials(
        None,
        refresh_token=refresh_token,
        token_uri=f"{emulator.endpoint}token",
        client_id="an id",
        client_secret="a secret",
    )
    options = {"api_endpoint": emulator.endpoint}
    return build("youtubereporting", "v1", credentials=credentials, static_discovery=True, client_options=options)


def token(emulator: Emulator) -> str:
    form = {"grant_type": "refresh_token", "refresh_token": "refresh me", "client_id": "i", "client_secret": "s"}
    status, _, body = send(emulator, "/token", method="POST", body=urlencode(form))
    assert status == 200
    return str(json.loads(body)["access_token"])


def test_a_job_is_created_once_and_lists_its_reports_in_pages(emulator: Emulator) -> None:
    jobs = reporting(emulator).jobs()
    assert jobs.list().execute() == {}
    job = jobs.create(body={"reportTypeId": REACH, "name": "reach"}).execute()
    assert jobs.list().execute() == {"jobs": [job]}
    assert error(jobs.create(body={"reportTypeId": REACH, "name": "reach"}))[1]["status"] == "ALREADY_EXISTS"
    reports = []
    request = jobs.reports().list(jobId=job["id"], pageSize=2)
    pages = 0
    while request is not None:
        answer = request.execute()
        reports += answer["reports"]
        request = jobs.reports().list_next(request, answer)
        pages += 1
    assert pages == 3
    assert [report["startTime"] for report in reports] == [f"2026-11-{day}T08:00:00.000000Z" for day in range(10, 15)]
    assert reports[0]["endTime"] == reports[1]["startTime"]
    assert len({report["id"] for report in reports}) == 5


def test_reports_are_filtered_by_creation_and_start_time(emulator: Emulator) -> None:
    jobs = reporting(emulator).jobs()
    job = jobs.create(body={"reportTypeId": REACH, "name": "reach"}).execute()
    all_reports = jobs.reports().list(jobId=job["id"]).execute()["reports"]
    after = all_reports[2]["createTime"]
    assert jobs.reports().list(jobId=job["id"], createdAfter=after).execute()["reports"] == all_reports[3:]
    window = {"startTimeAtOrAfter": "2026-11-11T08:00:00Z", "startTimeBefore": "2026-11-12T08:00:00Z"}
    assert jobs.reports().list(jobId=job["id"], **window).execute()["reports"] == [all_reports[1]]
    emulator.reach_reports = []
    assert jobs.reports().list(jobId=job["id"]).execute() == {}


def test_a_report_download_needs_a_token_and_is_csv(emulator: Emulator) -> None:
    jobs = reporting(emulator).jobs()
    job = jobs.create(body={"reportTypeId": REACH, "name": "reach"}).execute()
    [report, *_] = jobs.reports().list(jobId=job["id"]).execute()["reports"]
    path = report["downloadUrl"].removeprefix(emulator.endpoint.rstrip("/"))
    status, headers, body = get(emulator, path, Authorization=f"Bearer {token(emulator)}")
    assert (status, headers["Content-Type"]) == (200, "text/csv; charset=UTF-8")
    rows = list(csv.DictReader(io.StringIO(body.decode())))
    assert rows[0] == {
        "date": "20261110",
        "channel_id": "UCowner",
        "video_id": "abcdefghijk",
        "video_thumbnail_impressions": "1000",
        "video_thumbnail_impressions_ctr": "0.0625",
    }
    assert len(rows) == 2
    assert get(emulator, path)[0] == 401
    assert get(emulator, path.replace("/1", "/99"), Authorization=f"Bearer {token(emulator)}")[0] == 404


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/jobs/any/reports", "/v1/media/1?alt=media"])
def test_without_a_valid_token_every_endpoint_answers_401(emulator: Emulator, path: str) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {token(emulator)}"}):
        status, _, body = send(emulator, path, headers)
        assert (status, json.loads(body)["error"]["status"]) == (401, "UNAUTHENTICATED")


def test_a_token_expires_by_the_simulated_clock_and_the_client_fetches_another(emulator: Emulator) -> None:
    old = token(emulator)
    jobs = reporting(emulator).jobs()
    jobs.list().execute()
    emulator.advance(timedelta(hours=1))
    assert get(emulator, "/v1/jobs", Authorization=f"Bearer {old}")[0] == 401
    jobs.list().execute()


def test_a_wrong_refresh_token_is_an_invalid_grant(emulator: Emulator) -> None:
    form = {"grant_type": "refresh_token", "refresh_token": "stolen", "client_id": "i", "client_secret": "s"}
    status, _, body = send(emulator, "/token", method="POST", body=urlencode(form))
    assert (status, json.loads(body)["error"]) == (400, "invalid_grant")
    for name, (code, reason) in {
        "grant_type": (400, "unsupported_grant_type"),
        "client_secret": (401, "invalid_client"),
    }.items():
        status, _, body = send(emulator, "/token", method="POST", body=urlencode({**form, name: ""}))
        assert (status, json.loads(body)["error"]) == (code, reason)


def test_invalid_jobs_are_refused(emulator: Emulator) -> None:
    jobs = reporting(emulator).jobs()
    assert error(jobs.create(body={"reportTypeId": "channel_basic_a3", "name": "x"}))[1]["code"] == 400
    assert error(jobs.create(body={"name": "x"}))[1]["code"] == 400
    assert error(jobs.reports().list(jobId="nosuchjob"))[1]["code"] == 404


def test_faults_can_hit_the_reporting_api(emulator: Emulator) -> None:
    bearer = {"Authorization": f"Bearer {token(emulator)}"}
    emulator.inject(faults.refusal(503, "backendError"), endpoint="jobs")
    assert [send(emulator, "/v1/jobs", bearer)[0] for _ in range(2)] == [503, 200]
    emulator.inject(faults.html_error(502), endpoint="token")
    assert send(emulator, "/token", method="POST", body="")[0] == 502
    assert emulator.counts.spent == {"units": 0, "searches": 0, "stats": 0}
