"""Fixtures of the tests of `/v1/batches`: a running service, and functions that send batches to it."""

import base64
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

TITLE = "I tested every phone under $200"


@pytest.fixture(scope="module", autouse=True)
def short_idle() -> Iterator[None]:
    """Let the threads of the service look for new batches more often.

    The usual pause of two seconds would slow down each test.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("thumblab_serving.batches.housekeeping.IDLE_S", 0.2)
        yield


@pytest.fixture(scope="module")
def own_lab(lab_at: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A lab that only one test module uses. The service of this lab takes eight requests at the same time."""
    lab = lab_at(tmp_path_factory.mktemp("own"), serving_requests=8)
    lab.promote(lab.index("tech"))
    lab.promote(lab.model())
    return lab


@pytest.fixture(scope="module")
def own(own_lab: Any, run: Callable[..., Any]) -> Iterator[Any]:
    """A running service of `own_lab`."""
    with run(own_lab.settings) as service:
        yield service


@pytest.fixture
def item(draw: Callable[..., bytes]) -> Callable[..., dict[str, Any]]:
    """Return a function that makes an item of a batch, with drawn pictures. Different values of `number` give different
    pictures.
    """

    def make(number: int, pictures: int = 2, **fields: Any) -> dict[str, Any]:
        encoded = [base64.b64encode(draw(100 * number + n)).decode() for n in range(pictures)]
        thumbnails = [{"id": f"p{n}", "image_base64": data} for n, data in enumerate(encoded)]
        return {"id": f"item-{number}", "title": TITLE, "thumbnails": thumbnails, **fields}

    return make


@pytest.fixture(scope="session")
def send() -> Callable[..., dict[str, Any]]:
    """Return a function that sends a batch to the service, and returns the service's description of the stored batch."""

    def post(service: Any, items: list[dict[str, Any]], key: str | None = None, **fields: Any) -> dict[str, Any]:
        headers = {} if key is None else {"Idempotency-Key": key}
        reply = service.client.post("/v1/batches", json={"items": items, **fields}, headers=headers)
        assert reply.status_code == 202, reply.text
        return dict(reply.json())

    return post


@pytest.fixture(scope="session")
def ended() -> Callable[..., dict[str, Any]]:
    """Return a function that waits until a batch has ended, and returns the service's description of this batch."""

    def wait(service: Any, batch_id: str) -> dict[str, Any]:
        deadline = time.monotonic() + 60
        while True:
            batch = service.client.get(f"/v1/batches/{batch_id}").json()
            if batch["state"] in ("done", "cancelled", "deadline_passed"):
                return dict(batch)
            assert time.monotonic() < deadline, batch
            time.sleep(0.02)

    return wait


@pytest.fixture(scope="session")
def results() -> Callable[..., list[dict[str, Any]]]:
    """Return a function that returns the results of a batch."""

    def read(service: Any, batch_id: str) -> list[dict[str, Any]]:
        reply = service.client.get(f"/v1/batches/{batch_id}/results")
        assert reply.status_code == 200, reply.text
        assert reply.headers["content-type"] == "application/jsonl"
        return [json.loads(line) for line in reply.text.splitlines()]

    return read
