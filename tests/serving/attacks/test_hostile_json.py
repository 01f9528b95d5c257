"""Attack the service with JSON that is deep, wide, huge, or has two meanings."""

import base64
import json
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

pytestmark = pytest.mark.heavy

START, END = b'{"title":"t","thumbnails":[{"id":"a","url":"u"}]', b"}"

# Each value is a function that makes the body of a request, so that a huge body is in memory only during its test.
HOSTILE = {
    "9 MiB of unknown keys": lambda: START + b"".join(b',"k%d":0' % n for n in range(900_000)) + END,
    "as many unknown keys as are parsed": lambda: START + b"".join(b',"k%d":0' % n for n in range(33_000)) + END,
    "unknown keys of a thumbnail": lambda: (
        b'{"title":"t","thumbnails":[{"id":"a"' + b"".join(b',"k%d":0' % n for n in range(33_000)) + b"}]}"
    ),
    "90,000 levels": lambda: b'{"title":' + b"[" * 90_000 + b"]" * 90_000 + END,
    "90,000 levels of objects": lambda: b'{"title":' + b'{"a":' * 90_000,
    "201 levels": lambda: b'{"title":' + b"[" * 201 + b"]" * 201 + END,
    "45,000 thumbnails": lambda: b'{"title":"t","thumbnails":[' + b",".join([b"{}"] * 45_000) + b"]}",
    "a long number": lambda: b'{"title":' + b"1" * 4_000_000 + END,
    "a long fraction": lambda: b'{"title":0.' + b"1" * 40_000_000 + END,
    "a long name": lambda: START + b',"' + b"k" * 60_000_000 + b'":0' + END,
    "a long title": lambda: b'{"title":"' + b"t" * 100_000_000 + b'"}',
    "escapes": lambda: b'{"title":"' + b"\\u0041" * 10_000_000 + b'"}',
    "spaces": lambda: b" " * 100_000_000 + b"1",
    "the same key twice": lambda: b'{"title":"a","title":"b","thumbnails":[{"id":"a","url":"u"}]}',
    "the same key twice in a thumbnail": lambda: b'{"title":"t","thumbnails":[{"id":"a","url":"u","url":"v"}]}',
    "the same key twice, once escaped": lambda: b'{"title":"a","\\u0074itle":"b","thumbnails":[{"id":"a","url":"u"}]}',
    "NaN": lambda: b'{"title":NaN}',
    "a lone surrogate": lambda: b'{"title":"\\ud800"}',
    "no UTF-8": lambda: b'{"title":"\xff"}',
    "a list": lambda: b"[]",
    "nothing": lambda: b"",
}


@pytest.mark.parametrize("kind", list(HOSTILE))
def test_hostile_json_gets_one_short_problem(under_attack, kind):
    reply = under_attack.post(HOSTILE[kind]())
    assert reply.status_code == 422
    assert reply.json()["type"] == "urn:thumblab:invalid-request"
    assert len(reply.content) < 2_000


def test_the_problem_of_a_key_that_is_sent_twice_names_the_key(attacked):
    assert 'duplicate key "title"' in attacked.post(HOSTILE["the same key twice"]()).json()["detail"].lower()


def test_eight_clients_that_send_wide_json_stop_no_other_client(under_attack, draw):
    def ask(_: int) -> int:
        return under_attack.post(HOSTILE["as many unknown keys as are parsed"]()).status_code

    with ThreadPoolExecutor(9) as clients:
        good = clients.submit(under_attack.upload, draw(1), draw(2))
        assert set(clients.map(ask, range(64))) == {422}
        assert good.result().status_code == 200


def test_many_clients_that_send_huge_base64_stay_in_the_budget(under_attack, draw):
    good = base64.b64encode(draw(1)).decode()
    huge = "A" * (60 * 2**20)
    body = json.dumps(
        {"title": "t", "thumbnails": [{"id": "a", "image_base64": huge}, {"id": "b", "image_base64": good}]}
    )

    def ask(_: int) -> int:
        try:
            return under_attack.post(body.encode()).status_code
        except httpx.RemoteProtocolError:
            # The service refuses a request before it has read the body, and closes the connection. A client that is
            # still sending may get a closed connection instead of the status 503.
            return 503

    with ThreadPoolExecutor(12) as clients:
        statuses = list(clients.map(ask, range(24)))
    assert set(statuses) <= {200, 503}
    assert 200 in statuses
