"""Test webhooks against a real https server with a self-signed certificate."""

import base64
import hashlib
import hmac
import json
import ssl
import time
from http.server import ThreadingHTTPServer

import pytest
from local_server import Handler, certificate, running

from thumblab_core.keys.named_keys import NamedKeys
from thumblab_serving.batches.batch_store import BatchStore
from thumblab_serving.batches.housekeeping import Housekeeper
from thumblab_serving.batches.records import Delivery
from thumblab_serving.batches.stored_batch import WEBHOOK
from thumblab_serving.batches.webhooks import Webhooks
from thumblab_serving.schemas.batches import BatchRequest, BatchState

SECRET = "secret-of-the-tests-0123456789"


@pytest.fixture(scope="module")
def receiver(tmp_path_factory):
    """A running https server at 127.0.0.1, as a dictionary: its `host`, its `certificate`, and the requests in `got`.

    The server answers the first requests with the statuses in `answers`, and all later requests with 204.
    """
    folder = tmp_path_factory.mktemp("certificate")
    chain = certificate(folder)
    state = {"got": [], "answers": [], "certificate": chain[0]}

    class Receiver(Handler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state["got"].append((self.path, dict(self.headers), body))
            status = state["answers"].pop(0) if state["answers"] else 204
            self.send_response(status)
            if status == 302:
                self.send_header("Location", f"https://{state['host']}/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*chain)
    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        state["host"] = f"127.0.0.1:{server.server_port}"
        with running(server):
            yield state


@pytest.fixture(scope="module")
def telling(lab_at, run, tmp_path_factory, receiver):
    """A running service whose settings allow webhooks to the receiver."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(receiver["certificate"]))
        patch.setattr("thumblab_serving.batches.webhooks._WAITS_S", (0.1, 0.1))
        lab = lab_at(
            tmp_path_factory.mktemp("lab"),
            serving_webhook_hosts=receiver["host"],
            serving_webhook_secret=SECRET,
        )
        lab.promote(lab.index("tech"))
        lab.promote(lab.model())
        with run(lab.settings) as service:
            yield service


@pytest.fixture
def told(telling, receiver, item, send):
    """Return a function that sends a batch and waits until its webhook was delivered or has failed.

    The function returns the service's description of the batch.
    """

    def tell(*answers, path="/done?a=b"):
        receiver["got"].clear()
        receiver["answers"][:] = answers
        batch = send(telling, [item(1, pictures=1)], webhook=f"https://{receiver['host']}{path}")
        deadline = time.monotonic() + 60
        while (now := telling.client.get(f"/v1/batches/{batch['id']}").json())["webhook"]["state"] == "waiting":
            assert time.monotonic() < deadline, now
            time.sleep(0.05)
        return now

    return tell


def test_the_webhook_for_the_end_of_a_batch_is_signed(told, receiver):
    batch = told()
    assert (batch["webhook"]["state"], batch["webhook"]["attempts"]) == ("delivered", 1)
    [(path, headers, body)] = receiver["got"]
    assert path == "/done?a=b"
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert headers["webhook-id"] == batch["id"]
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60
    batch.pop("webhook")
    assert json.loads(body) == {"type": "batch.ended", "batch": batch}


def test_a_webhook_is_tried_again_and_then_given_up(told, receiver):
    assert told(500)["webhook"] == {
        "host": "127.0.0.1",
        "state": "delivered",
        "attempts": 2,
        "reason": None,
    }
    given_up = told(500, 503, 404, path="/secret?token=secret")["webhook"]
    assert (given_up["state"], given_up["attempts"]) == ("failed", 3)
    assert given_up["reason"] == "127.0.0.1 answered 404"
    assert len(receiver["got"]) == 3


def test_a_webhook_follows_no_redirect(told, receiver):
    assert told(302, 302, 302)["webhook"]["state"] == "failed"
    assert {path for path, _, _ in receiver["got"]} == {"/done?a=b"}


def test_no_webhook_is_sent_for_a_batch_of_a_revoked_key(telling, receiver, item):
    receiver["got"].clear()
    keys = NamedKeys(telling.app.state.settings)
    headers = {"X-API-Key": keys.add("leaving", ["score"])}
    body = {"items": [item(1, pictures=1)], "webhook": f"https://{receiver['host']}/"}
    store = telling.app.state.batches
    # While this request is open, the picture of the batch waits for five seconds.
    with telling.app.state.foreground.request():
        reply = telling.client.post("/v1/batches", json=body, headers=headers)
        keys.revoke("leaving")
        deadline = time.monotonic() + 60
        while (told := store.describe(store.find(reply.json()["id"])).webhook).state == "waiting":
            assert time.monotonic() < deadline
            time.sleep(0.02)
    assert (told.state, told.attempts, told.reason) == ("failed", 0, "its API key was revoked")
    assert receiver["got"] == []


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://HOST/", "give an https URL"),
        ("https://example.com/", "not among THUMBLAB_SERVING_WEBHOOK_HOSTS"),
        ("https://127.0.0.1:1/", "not among"),
        ("https://user:password@HOST/", "credentials"),
        ("ftp://HOST/", "give an https URL"),
        ("https://", "not among"),
    ],
)
def test_a_webhook_to_another_address_is_refused(telling, receiver, item, url, expected):
    body = {"items": [item(1)], "webhook": url.replace("HOST", receiver["host"])}
    reply = telling.client.post("/v1/batches", json=body)
    assert reply.status_code == 422
    assert reply.json()["detail"].startswith("webhook: ")
    assert expected in reply.json()["detail"]


@pytest.fixture
def waiting(telling, receiver, item):
    """Return a function that stores ended batches, each with a webhook to one of the given URLs.

    The function returns a housekeeper that has not delivered any of them yet, and the ended batches.
    """
    opened = []

    def store(folder, *urls):
        settings = telling.app.state.settings.model_copy(update={"data_dir": folder})
        batches, webhooks = BatchStore(settings), Webhooks(settings)
        opened.append(webhooks)
        stored = []
        for url in urls:
            request = BatchRequest.model_validate({"items": [item(1, pictures=1)], "webhook": url})
            batch = batches.find(batches.add(request, "default", None)[0].id)
            batch.finish(BatchState.DONE)
            stored.append(batch)
        receiver["got"].clear()
        return Housekeeper(batches, webhooks), stored

    yield store
    for webhooks in opened:
        webhooks.close()


def test_a_webhook_is_not_sent_as_long_as_no_attempt_can_be_stored(waiting, receiver, tmp_path):
    housekeeper, [batch] = waiting(tmp_path, f"https://{receiver['host']}/")
    in_the_way = batch.folder / f"{WEBHOOK}.new"
    in_the_way.mkdir()  # So the file of the webhook cannot be written, as on a full disk.
    for _ in range(3):
        housekeeper._round()
    assert receiver["got"] == []
    in_the_way.rmdir()
    for _ in range(3):
        housekeeper._round()
    assert (len(receiver["got"]), batch.delivery.state) == (1, "delivered")


def test_an_attempt_whose_result_is_lost_counts_and_is_not_repeated_without_end(waiting, receiver, tmp_path):
    housekeeper, [batch] = waiting(tmp_path, f"https://{receiver['host']}/")
    batch.keep_delivery(Delivery(attempts=3, next_at=0.0))  # The process died in the last attempt.
    housekeeper._round()
    assert (receiver["got"], batch.delivery.state, batch.delivery.attempts) == ([], "failed", 3)


def test_a_host_that_does_not_take_its_webhooks_delays_no_other_host(waiting, receiver, tmp_path):
    mute, good = "https://127.0.0.1:9/", f"https://{receiver['host']}/"
    housekeeper, batches = waiting(tmp_path, mute, mute, mute, good)
    housekeeper._round()
    assert sorted(batch.delivery.attempts for batch in batches[:3]) == [0, 0, 1]
    assert batches[3].delivery.state == "delivered"
