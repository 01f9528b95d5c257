"""Test that a change of the lab's keys has an immediate effect in both workers of a service."""

import json
import os
import socket
import subprocess
import sys
import time

import httpx
import psutil
import pytest

from thumblab_core.keys.named_keys import NamedKeys
from thumblab_core.settings import Settings

PATH = "/v1/batches"


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return Settings(_env_file=None, data_dir=tmp_path_factory.mktemp("lab"), image_encoder="builtin")


def wait_for(condition, process, log):
    deadline = time.monotonic() + 180
    while not condition():
        assert time.monotonic() < deadline and process.poll() is None, log.read_text()[-3000:]
        time.sleep(0.1)


@pytest.fixture(scope="module")
def workers(settings, tmp_path_factory):
    """A client for each of the two workers of a service. Each client keeps one connection to its worker open."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    given = {"data_dir": settings.data_dir, "image_encoder": "builtin"}
    environment = os.environ | {f"THUMBLAB_{name.upper()}": str(value) for name, value in given.items()}
    log = tmp_path_factory.mktemp("log") / "service.log"
    command = [sys.executable, "-m", "thumblab_serving", "--port", str(port), "--workers", "2"]
    with log.open("wb") as file:
        process = subprocess.Popen(command, env=environment, stdout=file, stderr=file)
    clients = {}

    def connect():
        client = httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60)
        try:
            client.get(PATH)
        except httpx.TransportError:
            client.close()
            return False
        worker = next((pid for pid in accepted(process.pid) if pid not in clients), None)
        if worker is None:
            client.close()
        else:
            clients[worker] = client
        return len(clients) == 2

    try:
        wait_for(connect, process, log)
        yield list(clients.values())
    finally:
        for client in clients.values():
            client.close()
        process.terminate()
        process.wait(60)


def accepted(supervisor):
    """Return the ids of the workers that have a connection of a client."""
    return [
        worker.pid
        for worker in psutil.Process(supervisor).children()
        if any(connection.status == psutil.CONN_ESTABLISHED for connection in worker.net_connections("tcp"))
    ]


def statuses(workers, key):
    return [worker.get(PATH, headers={"X-API-Key": key}).status_code for worker in workers]


def test_a_revoked_key_ends_in_both_workers_with_the_next_request(workers, settings):
    keys = NamedKeys(settings)
    key = keys.add("leaving", ["score"])
    assert statuses(workers, key) == [200, 200]
    keys.revoke("leaving")
    assert statuses(workers, key) == [401, 401]


def test_both_workers_follow_a_changed_scope_with_the_next_request(workers, settings):
    key = NamedKeys(settings).add("changed", ["score"])
    assert statuses(workers, key) == [200, 200]
    file = settings.data_dir / "api-keys.json"
    content = json.loads(file.read_text())
    [changed] = [entry for entry in content["keys"] if entry["name"] == "changed"]
    changed["scopes"] = ["admin"]
    new = file.with_suffix(".new")
    new.write_text(json.dumps(content))
    new.chmod(0o600)
    new.replace(file)
    assert statuses(workers, key) == [403, 403]
