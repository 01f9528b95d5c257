"""Every fault as it looks from the other side of the socket."""

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
def test_a_refusal_has_the_status_and_the_reason_of_the_real_one(running: Emulator, status: int, reason: str) -> None:
    running.inject(faults.refusal(status, reason, "A sentence.", retry_after=7))
    caught, found = error(videos(running))
    assert (found["code"], found["errors"][0]["reason"], found["message"]) == (status, reason, "A sentence.")
    assert caught.resp["retry-after"] == "7"
    videos(running).execute()


def test_a_limit_by_the_minute_names_its_unit(running: Emulator) -> None:
    running.inject(faults.refusal(429, "rateLimitExceeded", quota_limit="defaultPerMinutePerProject"))
    found = error(videos(running))[1]
    assert found["status"] == "RESOURCE_EXHAUSTED"
    metadata = found["details"][0]["metadata"]
    assert metadata["quota_limit"] == "defaultPerMinutePerProject"
    assert metadata["quota_unit"] == "1/min/{project}"


def test_a_bad_key_can_be_refused_in_the_newer_way(running: Emulator) -> None:
    running.inject(faults.refusal(400, "API_KEY_INVALID"))
    found = error(videos(running))[1]
    assert (found["code"], found["status"], found["errors"][0]["reason"]) == (400, "INVALID_ARGUMENT", "badRequest")
    assert found["details"][0]["reason"] == "API_KEY_INVALID"


def test_a_refusal_over_quota_or_key_costs_nothing_and_any_other_its_unit(running: Emulator) -> None:
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
def test_a_proxy_answers_with_a_page(running: Emulator, status: int) -> None:
    running.inject(faults.html_error(status))
    with pytest.raises(HttpError) as caught:
        videos(running).execute()
    assert caught.value.resp.status == status
    assert caught.value.content.startswith(b"<!DOCTYPE html>")


def test_a_captive_portal_says_200_and_sends_a_page(running: Emulator) -> None:
    running.inject(faults.wrong_content_type())
    status, headers, body = get(running, PATH)
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=UTF-8")
    with pytest.raises(ValueError):
        json.loads(body)


def test_garbage_says_it_is_json_or_a_picture(running: Emulator) -> None:
    running.inject(faults.garbage(), times=2)
    status, headers, body = get(running, PATH)
    assert status == 200 and headers["Content-Type"].startswith("application/json")
    with pytest.raises(ValueError):
        json.loads(body)
    _, headers, body = get(running, "/vi/nosuchvideo/default.jpg")
    assert headers["Content-Type"] == "image/jpeg" and len(body) < 50


def test_a_slow_answer_is_late_and_good(running: Emulator) -> None:
    running.inject(faults.slow(0.3))
    start = time.monotonic()
    videos(running).execute()
    assert 0.3 <= time.monotonic() - start < 10


def test_stopping_ends_a_slow_answer(running: Emulator) -> None:
    before = set(threading.enumerate())
    running.inject(faults.slow(60))
    connection = http.client.HTTPConnection(urlsplit(running.endpoint).netloc, timeout=10)
    connection.request("GET", PATH)
    deadline = time.monotonic() + 10
    while not (started := set(threading.enumerate()) - before) and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)
    running.stop()
    for thread in started:
        thread.join(5)
    assert started and not any(thread.is_alive() for thread in started)
    connection.close()


def test_a_cut_off_answer_states_its_whole_length(running: Emulator) -> None:
    running.inject(faults.cut_off())
    connection = http.client.HTTPConnection(urlsplit(running.endpoint).netloc, timeout=10)
    connection.request("GET", PATH)
    answer = connection.getresponse()
    with pytest.raises(http.client.IncompleteRead) as caught:
        answer.read()
    assert len(caught.value.partial) == int(answer.headers["Content-Length"]) // 2 > 0
    connection.close()


def test_a_hang_up_sends_not_a_byte(running: Emulator) -> None:
    running.inject(faults.hang_up())
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        get(running, PATH)
    assert get(running, PATH)[0] == 200


def test_an_error_can_give_the_key_away(running: Emulator) -> None:
    running.inject(faults.echo_key(), times=2)
    assert "AIzaSecret" in error(videos(running, "AIzaSecret"))[1]["message"]
    body = get(running, "/youtube/v3/videos?part=id&id=x", X_Goog_Api_Key="AIzaHeader")[2]
    assert b"AIzaHeader" in body


def test_a_fault_waits_its_turn_hits_its_endpoint_and_leaves(running: Emulator) -> None:
    running.inject(faults.refusal(500, "backendError"), endpoint="videos", after=1, times=2)
    search = client(running).search().list(part="snippet", type="video")
    outcomes = []
    for _ in range(4):
        search.execute()
        outcomes.append(get(running, PATH)[0])
    assert outcomes == [200, 500, 500, 200]


def test_a_fault_without_end_stays_until_it_is_healed(running: Emulator) -> None:
    running.inject(faults.refusal(500, "backendError"), times=None)
    assert {get(running, PATH)[0] for _ in range(5)} == {500}
    running.heal()
    assert get(running, PATH)[0] == 200


def test_two_faults_are_taken_one_after_the_other(running: Emulator) -> None:
    running.inject(faults.refusal(500, "backendError"))
    running.inject(faults.refusal(403, "forbidden"))
    assert [refusal(videos(running))[0] for _ in range(2)] == [500, 403]


def test_faults_reach_the_pictures_too(running: Emulator, small_catalogue: Any) -> None:
    path = f"/vi/{next(iter(small_catalogue.videos))}/mqdefault.jpg"
    running.inject(faults.html_error(503), endpoint="image")
    assert get(running, PATH)[0] == 200
    assert [get(running, path)[0] for _ in range(2)] == [503, 200]


def test_a_fault_for_nowhere_is_a_mistake(running: Emulator) -> None:
    with pytest.raises(ValueError, match="no endpoint 'vidoes'"):
        running.inject(faults.hang_up(), endpoint="vidoes")
    with pytest.raises(ValueError, match="at least 1"):
        running.inject(faults.hang_up(), times=0)
