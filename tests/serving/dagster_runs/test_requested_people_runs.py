"""Test the request to group faces, and the request to train the matching head. Both start runs of a real Dagster.

The service must return the results of the runs.
"""

import time
from dataclasses import dataclass

import httpx
import numpy as np
import pytest
from sqlalchemy import Connection, create_engine

from thumblab_core.arrays import Float32s
from thumblab_core.faces.embedder import embedder_fingerprint
from thumblab_core.keys.named_keys import NamedKeys
from thumblab_core.people.detection import record_detection
from thumblab_core.people.moving import move
from thumblab_core.people.naming import label
from thumblab_core.people.pictures import add_given_pictures
from thumblab_core.people.records import SearchedPicture

NAMED, UNNAMED, EACH = 6, 2, 8


@dataclass(frozen=True)
class GivenFace:
    """A face as a detector returns it."""

    vector: Float32s
    box: tuple[float, float, float, float] = (0.2, 0.2, 0.6, 0.8)
    confidence: float = 0.9
    quality: float = 0.9

    @property
    def landmarks(self) -> list[float]:
        return [0.5] * 10


def plant(connection: Connection, embedder: str) -> None:
    """Store pictures that show one face each. For the first `NAMED` people, put the faces of a person in a named
    cluster.
    """
    rng = np.random.default_rng(5)
    people = rng.normal(size=(NAMED + UNNAMED, 64)) / 8
    found = {}
    for person, centre in enumerate(people):
        for number in range(EACH):
            vector = centre + rng.normal(size=64) / 40
            found[f"{person:02}{number:02}".ljust(64, "0")] = (vector / np.linalg.norm(vector)).astype(np.float32)
    add_given_pictures(connection, [(sha256, f"{sha256[:4]}.jpg") for sha256 in found])
    searched = [SearchedPicture(sha256, [GivenFace(vector)]) for sha256, vector in found.items()]
    record_detection(connection, searched, "detector", embedder)
    rows = connection.exec_driver_sql("SELECT face_id FROM faces ORDER BY sha256").scalars().all()
    for person in range(NAMED):
        cluster = move(connection, rows[person * EACH : (person + 1) * EACH], None)
        label(connection, cluster.id, f"Person {person}")


@pytest.fixture(scope="module")
def client(settings, run):
    engine = create_engine(settings.database_url.get_secret_value())
    with engine.begin() as connection:
        plant(connection, embedder_fingerprint(settings.face_embedder))
    engine.dispose()
    headers = {"X-API-Key": NamedKeys(settings).add("people-runs", ["admin"])}
    with (
        run(settings.model_copy(update={"image_encoder": "builtin"}), wait=False) as service,
        httpx.Client(base_url=service.url, headers=headers, trust_env=False, timeout=60) as client,
    ):
        yield client


def ended(client: httpx.Client, reply: httpx.Response):
    """Wait until a run has ended, and return its state. `reply` is the answer that contains the id of the run."""
    assert (reply.status_code, reply.json()["status"]) == (202, "started"), reply.text
    deadline = time.monotonic() + 200
    while True:
        state = client.get(f"/internal/runs/{reply.json()['run_id']}").json()
        if state["state"] not in ("queued", "running"):
            assert state["state"] == "success", state
            return state
        assert time.monotonic() < deadline, state
        time.sleep(0.5)


@pytest.mark.slow
def test_a_requested_grouping_and_training_run_in_dagster_and_their_results_are_seen(client):
    too_many = {"min_cluster_size": EACH + 1, "queue": True}
    grouped = ended(client, client.post("/api/v1/faces/cluster/dual", json=too_many))["people"]["grouped"]
    faces = (NAMED + UNNAMED) * EACH
    assert (grouped["faces"], grouped["people"], grouped["unknown_clusters"]) == (faces, NAMED, 0)
    config = {"min_faces": 5, "epochs": 2, "queue": True}
    state = ended(client, client.post("/api/v1/faces/train", json=config))
    assert state["job"] == "train_people"
    trained, grouped = state["people"]["trained"], state["people"]["grouped"]
    assert (trained["people"], trained["faces"], trained["epochs"]) == (NAMED, NAMED * EACH, 2)
    assert (grouped["faces"], grouped["people"], grouped["unknown_clusters"]) == (faces, NAMED, UNNAMED)
    listed = client.get("/api/v1/faces/clusters").json()["clusters"]
    assert sorted(each["name"] or "" for each in listed) == [""] * UNNAMED + [f"Person {n}" for n in range(NAMED)]
    assert [each["faces"] for each in listed] == [EACH] * (NAMED + UNNAMED)
