"""Plant pictures with faces directly into the tables and the image store of a lab, and replace the lab's Dagster by a
fake.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np
from local_server import Handler, local_server, url_of
from sqlalchemy import Connection, Engine, delete, func, insert, select

from thumblab_core.arrays import Float32s
from thumblab_core.database.tables import (
    channels,
    face_clusters,
    face_pictures,
    faces,
    forgotten_faces,
    people_pictures,
    thumbnails,
    videos,
)
from thumblab_core.image_store import ImageFolder
from thumblab_core.people.clustering import NONE, faces_for_clustering, store_clustering
from thumblab_core.people.detection import record_detection
from thumblab_core.people.pictures import add_given_pictures
from thumblab_core.people.records import SearchedPicture

EMBEDDER = "embedder-1"
RUN_ID = "6f1c2b9e-0d3a-4c57-8a51-2f7e9d0c4b13"


@dataclass(frozen=True)
class GivenFace:
    """A face as a detector returns it."""

    box: tuple[float, float, float, float]
    vector: Float32s
    confidence: float = 0.9
    quality: float = 0.5

    @property
    def landmarks(self) -> list[float]:
        return [0.5] * 10


def box(place: int) -> tuple[float, float, float, float]:
    """Return the box of face 0, 1 or 2 in a picture. The three boxes do not overlap."""
    return (0.1 + 0.3 * place, 0.3, 0.3 + 0.3 * place, 0.7)


def plant(connection: Connection, *pictures: tuple[str, int]) -> list[list[str]]:
    """Record pictures that a person gave, each with its SHA-256 and number of faces. Return the face ids by picture."""
    add_given_pictures(connection, [(sha256, f"{sha256[:4]}.jpg") for sha256, _ in pictures])
    rng = np.random.default_rng(1)
    searched = [
        SearchedPicture(
            sha256, [GivenFace(box(place), rng.normal(size=8).astype(np.float32)) for place in range(count)]
        )
        for sha256, count in pictures
    ]
    record_detection(connection, searched, "detector-1", EMBEDDER)
    of = select(faces.c.face_id).order_by(faces.c.x0)
    return [list(connection.scalars(of.where(faces.c.sha256 == sha256))) for sha256, _ in pictures]


def group(connection: Connection, *groups: Sequence[str]) -> list[str]:
    """Put each group of faces in a new unknown cluster, as the lab does. Return the ids of the clusters."""
    given = faces_for_clustering(connection, EMBEDDER)
    codes = given.previous.copy()
    for number, members in enumerate(groups):
        codes[[given.face_ids.index(face_id) for face_id in members]] = len(given.keys) + number
    stored = store_clustering(connection, given, codes, np.where(codes == NONE, 0.0, 0.8))
    return [f"unknown_cluster_{stored.new[len(given.keys) + number]}" for number in range(len(groups))]


def show(connection: Connection, video_id: str, sha256: str) -> None:
    """Store a video whose thumbnail is the picture."""
    connection.execute(insert(channels).values(channel_id=f"UC{video_id}", title="A channel"))
    facts = {"video_id": video_id, "niche": "tech", "channel_id": f"UC{video_id}", "title": f"Title of {video_id}"}
    times = {"published_at": func.now(), "collected_at": func.now(), "refreshed_at": func.now()}
    connection.execute(insert(videos).values(tags=[], source="youtube", **facts, **times))
    seen = {"fetched_at": func.now(), "checked_at": func.now()}
    connection.execute(insert(thumbnails).values(video_id=video_id, sha256=sha256, **seen))


def empty(connection: Connection) -> None:
    """Delete all faces, clusters, pictures and videos."""
    for table in (face_pictures, forgotten_faces, people_pictures, face_clusters, channels):
        connection.execute(delete(table))


@dataclass
class Planted:
    """A running service of a lab with six pictures. Five pictures have one face each, and the sixth has two faces.

    `alone` has the ids of the five single faces. `pair` has the ids of the two faces in the sixth picture. The cluster
    `one` has the first two faces of `alone`. The cluster `two` has the next two faces of `alone`, and the first face of
    `pair`.
    """

    service: Any
    engine: Engine
    images: ImageFolder
    sha256: list[str]
    alone: list[str]
    pair: list[str]
    one: str
    two: str

    @property
    def _client(self) -> httpx.Client:
        client: httpx.Client = self.service.client
        return client

    def get(self, path: str) -> httpx.Response:
        return self._client.get(f"/api/v1/faces{path}")

    def post(self, path: str, body: Any = None) -> httpx.Response:
        return self._client.post(f"/api/v1/faces{path}", **({} if body is None else {"json": body}))

    def delete(self, path: str) -> httpx.Response:
        return self._client.delete(f"/api/v1/faces{path}")

    def done(self, reply: httpx.Response) -> Any:
        assert reply.status_code == 200, reply.text
        return reply.json()

    def refused(self, reply: httpx.Response, status: int, kind: str) -> str:
        assert reply.status_code == status, reply.text
        assert reply.headers["content-type"] == "application/problem+json"
        assert reply.json()["type"] == f"urn:thumblab:{kind}"
        return str(reply.json()["detail"])

    def faces(self, cluster_id: str) -> set[str]:
        return {face["face_id"] for face in self.done(self.get(f"/clusters/{cluster_id}"))["members"]}


@dataclass
class PlantedGallery:
    """A running service with drawn people. `faces` has the ids of the faces of each person.

    The cluster `mixed` has three faces of the person 0, one face of the person 1 and one face of the person 4. The
    cluster `rest` has the fourth face of the person 0. The cluster `two` has all faces of the person 2. All other faces
    are in no cluster.
    """

    service: Any
    engine: Engine
    faces: dict[int, list[str]]
    mixed: str
    rest: str
    two: str


@dataclass
class FakeDagster:
    """A server that answers as Dagster's GraphQL does. `launched` lists the runs that were started."""

    url: str
    status: str = "SUCCESS"
    job: str = "a_job"
    materialized: dict[str, dict[str, int | str]] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    launched: list[dict[str, Any]] = field(default_factory=list)

    def answer(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        if "launchMultipleRuns" in query:
            self.launched += variables["runs"]
            started = [{"run": {"runId": RUN_ID}} for _ in variables["runs"]]
            return {"launchMultipleRuns": {"launchMultipleRunsResult": started}}
        if "logsForRun" in query:
            events = [
                {
                    "__typename": "MaterializationEvent",
                    "assetKey": {"path": [asset]},
                    "metadataEntries": [
                        {"label": name, "text" if isinstance(value, str) else "intValue": value}
                        for name, value in values.items()
                    ],
                }
                for asset, values in self.materialized.items()
            ] + [{"__typename": "LogMessageEvent", "message": line} for line in self.log]
            return {"logsForRun": {"cursor": None, "hasMore": False, "events": events}}
        run = {"runId": RUN_ID, "jobName": self.job, "status": self.status, "runConfigYaml": "", "tags": []}
        return {"runsOrError": {"results": [run] if "runIds" in variables.get("filter", {}) else []}}


@contextmanager
def fake_dagster() -> Iterator[FakeDagster]:
    class Dagster(Handler):
        def do_POST(self) -> None:
            asked = json.loads(self.body())
            self.reply(200, json.dumps({"data": fake.answer(asked["query"], asked["variables"])}).encode())

    with local_server(Dagster) as server:
        fake = FakeDagster(url_of(server))
        yield fake
