"""Test what a client gets from the emulator for each fault that the emulator can simulate."""

import http.client
import json
import threading
import time
from typing import Any
from urllib.parse import urlsplit

import pytest
from emulated import client, error, get, refusal
from googleapiclient.errors import HttpError

from demo import faults
from demo.emulator import Emulator

PATH = "/youtube/v3/videos?part=id&id=nosuchvideo&key=k"


def videos(emulator: Emulator, key: str = "any key") -> Any:
    return client(emulator, key).videos().list(part="id", id="nosuchvideo")


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (400, "keyInvalid"),
        (403, "rateLimitExceeded"),
        (403, "userRateLimitExceeded"),
        (403, "accessNotConfigured"),
        (403, "forbidden"),
        (500, "backendError"),
        (503, "backendError"),
    ],
)
def test_a_refusal_has_the_given_status_reason_message_and_retry_after(
    running: Emulator, status: int, reason: str
) -> None:
    running.inject(faults.refusal(status, reason, "A sentence.", retry_after=7))
    caught, body_error = error(videos(running))
    assert (body_error["code"], body_error["errors"][0]["reason"], body_error["message"]) == (
        status,
        reason,
        "A sentence.",
    )
    assert caught.resp["retry-after"] == "7"
    videos(running).execute()


def test_a_per_minute_limit_names_its_unit(running: Emulator) -> None:
    running.inject(faults.refusal(429, "rateLimitExceeded", quota_limit="defaultPerMinutePerProject"))
    body_error = error(videos(running))[1]
    assert body_error["status"] == "RESOURCE_EXHAUSTED"
    metadata = body_error["details"][0]["metadata"]
    assert metadata["quota_limit"] == "defaultPerMinutePerProject"
    assert metadata["quota_unit"] == "1/min/{project}"


def test_a_reason_in_capitals_selects_the_newer_error_format(running: Emulator) -> None:
    running.inject(faults.refusal(400, "API_KEY_INVALID"))
    body_error = error(videos(running))[1]
    assert (body_error["code"], body_error["status"]) == (400, "INVALID_ARGUMENT")
    assert body_error["errors"][0]["reason"] == "badRequest"
    assert body_error["details"][0]["reason"] == "API_KEY_INVALID"


def test_only_refusals_for_quota_or_key_and_answers_of_a_proxy_cost_no_quota(running: Emulator) -> None:
    for fault, spent in (
        (faults.refusal(403, "rateLimitExceeded"), 0),
        (faults.refusal(403, "accessNotConfigured"), 0),
        (faults.html_error(502), 0),
        (faults.wrong_content_type(), 0),
        (faults.refusal(500, "backendError"), 1),
        (faults.refusal(403, "forbidden"), 1),
        (faults.garbage(), 1),
    ):
        before = running.counts.spent["units"]
        running.inject(fault)
        get(running, PATH)
        assert running.counts.spent["units"] - before == spent


@pytest.mark.parametrize("status", [502, 503])
def test_html_error_answers_with_an_html_page(running: Emulator, status: int) -> None:
    running.inject(faults.html_error(status))
    with pytest.raises(HttpError) as caught:
        videos(running).execute()
    assert caught.value.resp.status == status
    assert caught.value.content.startswith(b"<!DOCTYPE html>")


def test_wrong_content_type_answers_200_with_html(running: Emulator) -> None:
    running.inject(faults.wrong_content_type())
    status, headers, body = get(running, PATH)
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=UTF-8")
    with pytest.raises(ValueError):
        json.loads(body)


def test_garbage_claims_to_be_json_or_a_picture(running: Emulator) -> None:
    running.inject(faults.garbage(), times=2)
    status, headers, body = get(running, PATH)
    assert status == 200 and headers["Content-Type"].startswith("application/json")
    with pytest.raises(ValueError):
        json.loads(body)
    _, headers, body = get(running, "/vi/nosuchvideo/default.jpg")
    assert headers["Content-Type"] == "image/jpeg" and len(body) < 50


def test_a_slow_answer_is_late_but_valid(running: Emulator) -> None:
    running.inject(faults.slow(0.3))
    start = time.monotonic()
    videos(running).execute()
    assert 0.3 <= time.monotonic() - start < 10


def test_stopping_ends_a_slow_answer(running: Emulator) -> None:
    before = set(threading.enumerate())
    running.inject(faults.slow(60))
    connection = http.client.HTTPConnection(urlsplit(running.endpoint).netloc, timeout=10)
    connection.request("GET", PATH)
    deadline = time.monotonic() + 60
    while not (started := set(threading.enumerate()) - before) and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)
    running.stop()
    for thread in started:
        thread.join(5)
    assert started and not any(thread.is_alive() for thread in started)
    connection.close()


def test_a_cut_off_answer_announces_its_full_length(running: Emulator) -> None:
    running.inject(faults.cut_off())
    connection = http.client.HTTPConnection(urlsplit(running.endpoint).netloc, timeout=10)
    connection.request("GET", PATH)
    answer = connection.getresponse()
    with pytest.raises(http.client.IncompleteRead) as caught:
        answer.read()
    assert len(caught.value.partial) == int(answer.headers["Content-Length"]) // 2 > 0
    connection.close()


def test_a_hang_up_sends_no_byte(running: Emulator) -> None:
    running.inject(faults.hang_up())
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        get(running, PATH)
    assert get(running, PATH)[0] == 200


def test_echo_key_repeats_the_api_key(running: Emulator) -> None:
    running.inject(faults.echo_key(), times=2)
    assert "AIzaSecret" in error(videos(running, "AIzaSecret"))[1]["message"]
    body = get(running, "/youtube/v3/videos?part=id&id=x", X_Goog_Api_Key="AIzaHeader")[2]
    assert b"AIzaHeader" in body


def test_a_fault_hits_only_its_endpoint_after_a_delay_for_a_number_of_times(running: Emulator) -> None:
    running.inject(faults.refusal(500, "backendError"), endpoint="videos", after=1, times=2)
    search = client(running).search().list(part="snippet", type="video")
    outcomes = []
    for _ in range(4):
        search.execute()
        outcomes.append(get(running, PATH)[0])
    assert outcomes == [200, 500, 500, 200]


def test_a_permanent_fault_lasts_until_heal(running: Emulator) -> None:
    running.inject(faults.refusal(500, "backendError"), times=None)
    assert {get(running, PATH)[0] for _ in range(5)} == {500}
    running.heal()
    assert get(running, PATH)[0] == 200


def test_two_faults_hit_one_request_each(running: Emulator) -> None:
    running.inject(faults.refusal(500, "backendError"))
    running.inject(faults.refusal(403, "forbidden"))
    assert [refusal(videos(running))[0] for _ in range(2)] == [500, 403]


def test_faults_can_hit_pictures(running: Emulator, small_catalogue: Any) -> None:
    path = f"/vi/{next(iter(small_catalogue.videos))}/mqdefault.jpg"
    running.inject(faults.html_error(503), endpoint="image")
    assert get(running, PATH)[0] == 200
    assert [get(running, path)[0] for _ in range(2)] == [503, 200]


def test_inject_rejects_unknown_endpoints_and_counts_below_one(running: Emulator) -> None:
    with pytest.raises(ValueError, match="no endpoint 'vidoes'"):
        running.inject(faults.hang_up(), endpoint="vidoes")
    with pytest.raises(ValueError, match="at least 1"):
        running.inject(faults.hang_up(), times=0)
